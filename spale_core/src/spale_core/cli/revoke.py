# SPDX-License-Identifier: MIT
"""`spale revoke`: end what a client has by now."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from spale_core.cli.asking import add_socket_options, ask, show
from spale_core.cli.tables import counted, paragraph, word

if TYPE_CHECKING:
    import argparse


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command and its options."""
    parser = subparsers.add_parser(
        "revoke",
        help="end a client's grants",
        description="End a client's grants at once, and those TCP sessions that are nobody else's. Its key"
        " goes on being good: to end that too, remove NAME.pem from the clients' folder, and `spale reload`.",
    )
    parser.add_argument("--client", metavar="NAME", required=True, help="as `spale list clients` has it")
    add_socket_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """End it, say what that was, and return 0. Raise SpaleError."""
    result = ask(arguments, "revoke", client=arguments.client)
    name = word(arguments.client)
    ended = f"{counted(result['ended'], 'grant')} and {counted(result['sessions'], 'session')}"
    lines = chain(
        paragraph(f"ended {ended} of {name}"),
        paragraph(f"its key is still good: remove {name}.pem and its NAME_ lines, then `spale reload`"),
    )
    return show(arguments, result, lines)
