# SPDX-License-Identifier: MIT
"""`spale allowlist`: change who needs no knock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spale_core.cli.asking import add_socket_options, ask, show
from spale_core.cli.tables import paragraph, word

if TYPE_CHECKING:
    import argparse

_OUTCOMES = {"add": "needs no knock from now on", "del": "needs a knock from now on"}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command and its options."""
    parser = subparsers.add_parser(
        "allowlist",
        help="change what needs no knock",
        description="Add an address or a prefix that needs no knock, or take it away again. It survives"
        " restarts and reloads. What ALWAYS_ALLOW has is changed in the configuration instead.",
    )
    parser.add_argument("action", choices=_OUTCOMES, metavar="add|del")
    parser.add_argument("prefix", metavar="CIDR", help="such as 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32")
    add_socket_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Change it, say so, and return 0. Raise SpaleError."""
    result = ask(arguments, f"allowlist_{arguments.action}", prefix=arguments.prefix)
    words = f"{word(arguments.prefix)} {_OUTCOMES[arguments.action]}"
    if arguments.action == "add" and arguments.prefix.endswith("/0"):
        words += ": that is everybody, so nothing is hidden any more"
    return show(arguments, result, paragraph(words))
