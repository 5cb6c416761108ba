# SPDX-License-Identifier: MIT
"""The parts of docs/man that say what the commands take, from their parsers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from command_line import commands

from spale_core.cli.main import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from command_line import Command, Option

_MANY = 20
"""So many options a line of the synopsis does not list."""

_SAME = 8
"""So many options are not said again."""

_ASKING = ("--json", "--socket", "--name", "--config")
"""The options of a command that asks the daemon; the page has them once."""

_NO_MATTER = ("--help", "--version")


def synopsis(name: str) -> Iterator[str]:
    """Yield the section SYNOPSIS of the page of a command."""
    asking: tuple[Option, ...] = ()
    for command in _runnable(name):
        words = [f"`{command.name}"]
        options = _own(command)
        if _asks(command):
            asking = tuple(option for option in options if option.flags[-1] in _ASKING)
            options = [option for option in options if option not in asking]
        if len(options) > _MANY and not _required(options):
            words.append("[OPTION ...]")
        else:
            words += _usage(command, options)
        words += [
            f"[{each.value.metavar} ...]" if each.optional else each.value.metavar for each in command.places
        ]
        yield " ".join([*words, *(["[ASKING]"] if _asks(command) else [])]) + "`"
        yield ""
    if asking:
        yield f"where ASKING is `{' '.join(f'[{_spelled(each)}]' for each in asking)}`"


def options(name: str) -> Iterator[str]:
    """Yield what each sub-command is for and takes, or the options of a command that has none."""
    command = _command(name)
    if not command.children:
        yield from _items(command.options)
        return
    known: list[Command] = []
    for each in command.everything():
        if each is command:
            yield from _items(each.options)
            continue
        yield f"### {each.name}"
        yield ""
        yield _sentence(each.description or each.purpose)
        yield ""
        yield from _places(each)
        yield from _options_of(each, known)
        known.append(each)
    yield from _later(name)


def asking() -> Iterator[str]:
    """Yield the options that all commands have which ask the daemon."""
    status = _command("spale").children["status"]
    yield from _items(option for option in status.options if option.flags[-1] in _ASKING)


def _options_of(command: Command, known: list[Command]) -> Iterator[str]:
    """Yield what a command takes; many options that another has too are referred to."""
    same = next((each for each in known if len(each.options) >= _SAME and _takes_all(command, each)), None)
    if _asks(command):
        yield from _items(option for option in command.options if option.flags[-1] not in _ASKING)
    elif same is None:
        yield from _items(command.options)
    else:
        more = [option for option in command.options if option not in same.options]
        yield f"Takes the options of `{same.name}`{', and:' if more else '.'}"
        yield ""
        yield from _items(more)


def _takes_all(command: Command, other: Command) -> bool:
    return set(other.options) <= set(command.options)


def _later(name: str) -> Iterator[str]:
    """Yield what is announced and refused."""
    later = [f"`spale {word}`" for word, command in COMMANDS.items() if command.module is None]
    if name == "spale" and later:
        yield "### Not yet"
        yield ""
        yield f"Not yet in this version, and refused with exit code 78: {', '.join(later)}."


def _command(name: str) -> Command:
    return next(command for command in commands() if command.name == name)


def _runnable(name: str) -> Iterator[Command]:
    """Yield what can be run: a command without sub-commands, or with places or options of its own."""
    for each in _command(name).everything():
        if not each.children or _own(each) or each.places:
            yield each


def _asks(command: Command) -> bool:
    return set(_ASKING) <= {option.flags[-1] for option in command.options} and "--trial" not in {
        option.flags[-1] for option in command.options
    }


def _own(command: Command) -> list[Option]:
    return [option for option in command.options if option.flags[-1] not in _NO_MATTER]


def _required(options: Iterable[Option]) -> list[Option]:
    return [option for option in options if option.required]


def _usage(command: Command, options: list[Option]) -> Iterator[str]:
    """Yield options as in a synopsis: those that must be there first, alternatives together."""
    yield from (_spelled(option) for option in _required(options))
    done: set[str] = set()
    for option in options:
        if option.required or option.flags[-1] in done:
            continue
        group = next((each for each in command.alternatives if option.flags[-1] in each), {option.flags[-1]})
        done |= group
        yield f"[{' | '.join(_spelled(each) for each in options if each.flags[-1] in group)}]"


def _spelled(option: Option) -> str:
    """Return an option by its shortest spelling, with its values."""
    return " ".join((option.flags[0], *(value.metavar for value in option.values)))


def _places(command: Command) -> Iterator[str]:
    for place in command.places:
        if place.value.words and place.value.metavar.isupper():
            yield from _item(f"`{place.value.metavar}`", f"one of {', '.join(place.value.words)}")
        elif place.help:
            yield from _item(f"`{place.value.metavar}`", place.help)


def _items(options: Iterable[Option]) -> Iterator[str]:
    for option in options:
        if option.flags[-1] not in _NO_MATTER:
            *short, last = option.flags
            with_values = " ".join((last, *(value.metavar for value in option.values)))
            yield from _item(", ".join(f"`{each}`" for each in (*short, with_values)), option.help)


def _item(term: str, words: str) -> Iterator[str]:
    yield term
    yield f":   {_sentence(words)}"
    yield ""


def _sentence(words: str) -> str:
    """Return words of --help as a sentence of a page."""
    capital = words[0].upper() + words[1:]
    return capital if capital.endswith((".", ":")) else f"{capital}."
