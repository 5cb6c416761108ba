# SPDX-License-Identifier: MIT
"""`spale`: the command line of the administrator. Only the module of the command that runs is imported."""

from __future__ import annotations

import argparse
import importlib
import sys
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from spale_core.cli.command import guarded, new_parser
from spale_core.errors import NotYetError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROG = "spale"
DEFAULT_COMMAND = "run"

_OWN_OPTIONS = ("-h", "--help", "--version")
_MANAGE = "--manage"
_NOTHING_ELSE: Mapping[str, str] = MappingProxyType({})


class Command(NamedTuple):
    """A sub-command: its module in this package (None: not yet) and what it is for."""

    module: str | None
    purpose: str


COMMANDS = {
    "run": Command("run", "protect the ports: the daemon, in the foreground"),
    "check": Command("check", "validate the configuration, say what would run, attach nothing"),
    "detach": Command("detach", "open the ports: remove what is attached"),
    "plugins": Command("plugins", "what is installed, by whom, and what is in use"),
    "demo": Command("demo", "show the whole story in two network namespaces (as root)"),
    "doctor": Command("doctor", "what this host allows, each with the remedy"),
    "list": Command("list", "what the running daemon holds"),
    "authorize": Command("authorize", "grant by hand"),
    "revoke": Command("revoke", "end a client's grants"),
    "allowlist": Command("allowlist", "change what needs no knock"),
    "status": Command("status", "how the running daemon is"),
    "watch": Command(None, "follow what the running daemon does"),
    "metrics": Command(None, "figures of the running daemon"),
    "explain": Command("explain", "what a packet would meet, and why"),
    "reload": Command("reload", "read the configuration again"),
    "confirm": Command("confirm", "keep what `run --trial` started"),
    "new-plugin": Command(None, "a working plugin to start from"),
}


def main(arguments: Sequence[str] | None = None, others: Mapping[str, str] = _NOTHING_ELSE) -> int:
    """Run `spale` with `arguments` (default: the process's own) and return the exit code.

    `others` are sub-commands that the caller sees to, and what they are for.
    """
    return guarded(PROG, partial(_run, others), arguments)


def _run(others: Mapping[str, str], arguments: Sequence[str]) -> int:
    words = _with_command(list(arguments))
    parser = new_parser(PROG, "Single Packet Authorization, enforced by eBPF.")
    if not words or words[0] in _OWN_OPTIONS:
        _describe(parser, others)
        parser.parse_args(words)
        raise UsageError(f"no command given; see {PROG} --help")
    command = COMMANDS.get(words[0])
    if command is None:
        raise UsageError(f"{words[0]!r} is no command; there are {', '.join([*COMMANDS, *others])}")
    if command.module is None:
        raise NotYetError(f"`{PROG} {words[0]}` is not yet possible in this version")
    module = importlib.import_module(f"spale_core.cli.{command.module}")
    module.add_parser(parser.add_subparsers(required=True))
    parsed = parser.parse_args(words)
    code: int = parsed.run(parsed)
    return code


def _describe(parser: argparse.ArgumentParser, others: Mapping[str, str]) -> None:
    """Let --help list the commands without importing any of them."""
    purposes = {
        name: command.purpose if command.module else f"{command.purpose} (not yet)"
        for name, command in COMMANDS.items()
    }
    lines = [f"  {name:<12}{purpose}" for name, purpose in {**purposes, **others}.items()]
    parser.usage = f"{PROG} COMMAND ...  ({PROG} COMMAND --help says more)"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "\n".join(["commands:", *lines, "", f"Options without a command mean `{PROG} run`."])


def _with_command(words: list[str]) -> list[str]:
    """Put in the command where the original leaves it out: `spale -i eth0`, `spale --manage list`."""
    if words[:1] == [_MANAGE]:
        return words[1:]
    if words and words[0].startswith("-") and words[0] not in _OWN_OPTIONS:
        return [DEFAULT_COMMAND, *words]
    return words


if __name__ == "__main__":
    sys.exit(main())
