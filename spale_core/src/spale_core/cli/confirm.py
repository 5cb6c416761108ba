# SPDX-License-Identifier: MIT
"""`spale confirm`: keep what `spale run --trial` started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spale_core.cli.asking import add_socket_options, ask, show

if TYPE_CHECKING:
    import argparse


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command and its options."""
    parser = subparsers.add_parser(
        "confirm",
        help="keep what `run --trial` started",
        description="Tell a daemon that `spale run --trial SEC` started to go on. Without that it opens the"
        " ports again and ends when SEC seconds are over.",
    )
    add_socket_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Confirm and return 0. Raise SpaleError: UsageError if there is no trial."""
    return show(arguments, ask(arguments, "confirm"), ["confirmed: the daemon goes on"])
