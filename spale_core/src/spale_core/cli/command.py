# SPDX-License-Identifier: MIT
"""What the commands have in common: exit codes of sysexits.h, and one line for each mistake."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any, Final, NoReturn

from spale_core.cli.streams import Streams, UnreadError
from spale_core.errors import SpaleError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

INTERRUPTED = 130
"""What a shell says of a command that Ctrl-C ended."""


_USUAL_COLUMNS: Final = 80
_MARGIN: Final = 2


class _Formatter(argparse.HelpFormatter):
    """One that asks for the width of the terminal by itself: argparse's loads `shutil` for that.

    argparse makes a formatter for every option, to try its metavar, so each knock would wait for that.
    """

    def __init__(self, prog: str) -> None:
        """Make one as wide as the terminal, where there is one."""
        super().__init__(prog, width=_columns() - _MARGIN)


def _columns() -> int:
    """Return what shutil.get_terminal_size would."""
    said = os.environ.get("COLUMNS", "")
    if said.isdecimal() and int(said):
        return int(said)
    try:
        return os.get_terminal_size(1).columns or _USUAL_COLUMNS
    except OSError:  # no terminal
        return _USUAL_COLUMNS


class CommandParser(argparse.ArgumentParser):
    """An argparse parser that raises UsageError (exit 64) where argparse would exit with 2.

    It, and those of its sub-commands, know no abbreviations, so that a new option breaks nobody.
    """

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - argparse's own
        """Make one as argparse does."""
        super().__init__(**{"allow_abbrev": False, "formatter_class": _Formatter, **settings})

    def error(self, message: str) -> NoReturn:
        """Raise UsageError."""
        raise UsageError(f"{message}; see {self.prog} --help")


class VersionAction(argparse.Action):
    """Print the version and exit; it is looked up only then, since that takes longer than a knock."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,  # noqa: ARG002 - argparse calls it so
        values: str | Sequence[object] | None,  # noqa: ARG002 - argparse calls it so
        option_string: str | None = None,  # noqa: ARG002 - argparse calls it so
    ) -> None:
        """Do it."""
        from importlib.metadata import version  # noqa: PLC0415 - only for --version

        sys.stdout.write(f"{parser.prog} {version('spale-core')}\n")
        parser.exit()


def new_parser(prog: str, description: str) -> CommandParser:
    """Return a parser with --help and --version."""
    parser = CommandParser(prog=prog, description=description)
    parser.add_argument("--version", action=VersionAction, nargs=0, help="print the version and exit")
    return parser


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """Return an argparse type: a decimal number from `least` to `most`."""

    def parse(text: str) -> int:
        if not (
            text.isascii() and text.isdigit() and len(text) <= len(str(most)) and least <= int(text) <= most
        ):
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least} to {most}")
        return int(text)

    return parse


def guarded(prog: str, command: Callable[[Sequence[str]], int], arguments: Sequence[str] | None) -> int:
    """Run `command`; print an error of ours as ``prog: message`` and return its exit code.

    The standard streams are `Streams` meanwhile; output that nobody reads ends it with BROKEN_PIPE.
    """
    with Streams():
        try:
            return _flushed(command, sys.argv[1:] if arguments is None else arguments)
        except UnreadError as error:
            return error.exit_code
        except SpaleError as error:
            sys.stderr.write(f"{prog}: {error}\n")
            return error.exit_code
        except KeyboardInterrupt:
            return INTERRUPTED


def _flushed(command: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    """Run `command`; raise OutputError if what it printed cannot be written."""
    try:
        code = command(arguments)
    except SystemExit:  # argparse's, behind --help and --version
        sys.stdout.flush()
        raise
    sys.stdout.flush()
    return code
