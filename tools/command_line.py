# SPDX-License-Identifier: MIT
"""The three commands as data, read from the parsers that they run with: for man pages and completion."""

from __future__ import annotations

import argparse
import importlib
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from spale_core.cli import keygen, profile, send_options
from spale_core.cli.command import new_parser
from spale_core.cli.main import COMMANDS, DEFAULT_COMMAND

if TYPE_CHECKING:
    from collections.abc import Iterator

PURPOSES = {
    "spale": "hide ports from everybody but those who knock",
    "spale-send": "knock at a server that spale protects",
    "spale-keygen": "make the keys of a spale server or client",
}
"""The three commands, each with what it is for."""

_LITERAL = re.compile(r"[a-z][a-z0-9.]*")
_KINDS = {
    "FILE": "file",
    "PATH": "file",
    "DIR": "folder",
    "PROFILE": "profile",
    "H": "host",
    "HOST": "host",
    "G": "group",
    "USER[:GROUP]": "user",
    "-- CMD": "command",
}
"""What stands for a metavar."""

_KINDS_OF_OPTIONS = {"--interface": "interface", "--client": "client"}
_KINDS_OF_PLACES = {("spale-send", "profile", word): "profile" for word in ("show", "set", "delete")}
_WORDS_OF_OPTIONS = {
    "--dataplane": ("tc", "xdp"),
    "--log-level": ("debug", "info", "warning", "error"),
    "--store": ("sqlite", "memory"),
}
"""Values that are text for the parser, since the configuration judges them."""


@dataclass(frozen=True)
class Value:
    """What stands behind an option, or at a place: one of `words`, or something of a kind."""

    metavar: str
    kind: str = ""
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Option:
    """An option: its spellings, the values behind it, and the words of --help."""

    flags: tuple[str, ...]
    values: tuple[Value, ...]
    help: str
    required: bool = False
    repeatable: bool = False


@dataclass(frozen=True)
class Place:
    """A positional argument."""

    value: Value
    help: str
    optional: bool = False


@dataclass(frozen=True)
class Command:
    """A command or sub-command: its words, such as ("spale", "list"), and what it takes."""

    words: tuple[str, ...]
    purpose: str
    description: str
    options: tuple[Option, ...]
    places: tuple[Place, ...]
    children: dict[str, Command] = field(default_factory=dict)
    alternatives: tuple[frozenset[str], ...] = ()

    @property
    def name(self) -> str:
        """Return the words as they are typed."""
        return " ".join(self.words)

    @property
    def in_a_list(self) -> str:
        """Return what it is for, as a list of commands says it."""
        return self.purpose.removesuffix(".")

    def everything(self) -> Iterator[Command]:
        """Yield the command and all its sub-commands."""
        yield self
        for child in self.children.values():
            yield from child.everything()


def commands() -> tuple[Command, ...]:
    """Return the three commands."""
    return _spale(), _send(), _read(keygen.build_parser(), ("spale-keygen",), PURPOSES["spale-keygen"])


def _spale() -> Command:
    """Return `spale` with all its sub-commands; what it says of itself, the man page says better."""
    parser = new_parser("spale", "Single Packet Authorization, enforced by eBPF.")
    subparsers = parser.add_subparsers()
    for command in COMMANDS.values():
        if command.module is not None:
            importlib.import_module(f"spale_core.cli.{command.module}").add_parser(subparsers)
    return _read(parser, ("spale",), PURPOSES["spale"])


def _send() -> Command:
    """Return `spale-send`; `profile` has parsers of its own, as a knock does not wait for them."""
    command = _read(send_options.send_parser(), ("spale-send",), PURPOSES["spale-send"])
    kept = _read(
        profile.profile_parser(), ("spale-send", "profile"), "keep what is needed to knock, under a name"
    )
    return replace(command, children={"profile": kept})


def bare(command: Command) -> Command:
    """Return what a command does without its first sub-command being named: `spale` runs."""
    return command.children.get(DEFAULT_COMMAND, command)


def _read(parser: argparse.ArgumentParser, words: tuple[str, ...], purpose: str) -> Command:
    options, places, children = [], [], {}
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to tell
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - argparse has no other way
            purposes = {each.dest: each.help or "" for each in action._choices_actions}  # noqa: SLF001 - argparse has no other way
            for name, child in action.choices.items():
                children[name] = _read(child, (*words, name), purposes.get(name) or child.description or "")
        elif action.option_strings:
            options.append(_option(parser, action))
        else:
            optional = action.nargs in {"?", "*"}
            (value,) = _values(action)
            kind = _KINDS_OF_PLACES.get(words, value.kind)
            places.append(Place(replace(value, kind=kind), _help(parser, action), optional=optional))
    return Command(
        words,
        purpose,
        _description(parser),
        tuple(options),
        tuple(places),
        children,
        tuple(_alternatives(parser)),
    )


def _alternatives(parser: argparse.ArgumentParser) -> Iterator[frozenset[str]]:
    for group in parser._mutually_exclusive_groups:  # noqa: SLF001 - argparse has no other way to tell
        actions = group._group_actions  # noqa: SLF001 - argparse has no other way
        yield frozenset(action.option_strings[-1] for action in actions)


def _option(parser: argparse.ArgumentParser, action: argparse.Action) -> Option:
    takes_value = action.nargs != 0
    return Option(
        tuple(action.option_strings),
        _values(action) if takes_value else (),
        _help(parser, action),
        required=action.required,
        repeatable=isinstance(action, argparse._AppendAction),  # noqa: SLF001 - argparse has no other way to tell
    )


def _description(parser: argparse.ArgumentParser) -> str:
    return (parser.description or "") % {"prog": parser.prog}


def _help(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    """Return the words of --help, with its % signs written out."""
    if action.help is None or action.help == argparse.SUPPRESS:
        return ""
    return action.help % {**vars(action), "prog": parser.prog}


def _values(action: argparse.Action) -> tuple[Value, ...]:
    metavars = action.metavar if isinstance(action.metavar, tuple) else (action.metavar,)
    return tuple(_value(action, metavar or action.dest.upper()) for metavar in metavars)


def _value(action: argparse.Action, metavar: str) -> Value:
    option = action.option_strings[-1] if action.option_strings else ""
    if action.choices is not None:
        words = tuple(map(str, action.choices))
    else:
        # Of auto|off|ADDR the small ones can be typed as they are.
        words = _WORDS_OF_OPTIONS.get(option) or tuple(
            word for word in metavar.split("|") if "|" in metavar and _LITERAL.fullmatch(word)
        )
    kind = _KINDS_OF_OPTIONS.get(option) or _KINDS.get(metavar, "")
    return Value(metavar, kind, words)


def in_short(words: str) -> str:
    """Return the first thing that words of --help say, for a list of completions."""
    return re.split(r"; | \(|\. | \[|: ", words.removesuffix("."))[0]
