# SPDX-License-Identifier: MIT
"""`spale list`: what the running daemon holds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from spale_core.cli.asking import add_socket_options, ask, show
from spale_core.cli.listings import LISTINGS, as_text

if TYPE_CHECKING:
    import argparse

_MEANINGS: Final = {
    "authorized": "who is let in, to what, and for how long",
    "allowlist": "who needs no knock",
    "ports": "what is protected",
    "ratelimit": "whose knocks the rate limit counts now",
    "sessions": "the TCP connections that were let in",
    "clients": "who may knock",
    "dropped": "what the kernel has dropped, by reason",
}
_NS_PER_MS = 1_000_000


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command and its options."""
    meanings = "; ".join(f"{name}: {meaning}" for name, meaning in _MEANINGS.items())
    parser = subparsers.add_parser(
        "list",
        help="what the running daemon holds",
        description=f"List what the running daemon holds. {meanings}.",
    )
    parser.add_argument("what", choices=LISTINGS, metavar="WHAT", help=", ".join(LISTINGS))
    add_socket_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the list and return 0. Raise SpaleError."""
    result = ask(arguments, f"list_{arguments.what}")
    return show(arguments, result, as_text(arguments.what, result, time.time_ns() // _NS_PER_MS))
