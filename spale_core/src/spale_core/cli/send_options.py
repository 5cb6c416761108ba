# SPDX-License-Identifier: MIT
"""The options of ``spale-send``, and the parsers that know them."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

from spale_core.cli.command import new_parser, whole_number
from spale_core.sending.fields import FIELDS

if TYPE_CHECKING:
    import argparse

PROG: Final = "spale-send"
PORTS: Final = whole_number(1, 65535)
WAIT_S: Final = 10
_LONGEST_WAIT_S: Final = 86400


def send_parser() -> argparse.ArgumentParser:
    """Return the parser of everything but ``spale-send profile``."""
    parser = new_parser(
        PROG,
        "Send one authenticated UDP datagram (a knock) to each address of a host, so that its protected "
        "ports open for the address that it came from. Nothing ever answers.",
    )
    parser.usage = (
        "%(prog)s [-p PROFILE] [--host H] [--port P] [--key FILE] [OPTION ...] "
        "[--wait PORT | --connect HOST PORT] [-- CMD ...]\n"
        "       %(prog)s profile create|list|show|set|delete ..."
    )
    parser.add_argument(
        "-p",
        "--profile",
        metavar="PROFILE",
        help="take what follows from a profile, unless it is given here too",
    )
    add_key(parser)
    for field in FIELDS:
        parser.add_argument(field.option, metavar=field.metavar, type=field.read, help=field.words)
    _add_family(parser)
    _add_afterwards(parser)
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be sent where, and send nothing"
    )
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="say what is sent where, and what follows"
    )
    return parser


def add_key(parser: argparse.ArgumentParser) -> None:
    """Add --key."""
    parser.add_argument(
        "--key", metavar="FILE", help="the server's public and your private key in PEM, in any order"
    )


def _add_family(parser: argparse.ArgumentParser) -> None:
    family = parser.add_mutually_exclusive_group()
    for version, kind in ((4, socket.AF_INET), (6, socket.AF_INET6)):
        family.add_argument(
            f"-{version}",
            dest="family",
            action="store_const",
            const=kind,
            help=f"knock at IPv{version} addresses only",
        )
    parser.set_defaults(family=socket.AF_UNSPEC)


def _add_afterwards(parser: argparse.ArgumentParser) -> None:
    """Add what happens after the knock."""
    after = parser.add_mutually_exclusive_group()
    after.add_argument(
        "--wait",
        metavar="PORT",
        type=PORTS,
        help="return when a TCP connection to PORT succeeds; knock again now and then until it does",
    )
    after.add_argument(
        "--connect",
        nargs=2,
        metavar=("HOST", "PORT"),
        help="wait so, then relay between that connection and standard input and output: for OpenSSH's "
        "ProxyCommand, as --connect %%h %%p",
    )
    parser.add_argument(
        "--wait-sec",
        metavar="N",
        type=whole_number(1, _LONGEST_WAIT_S),
        default=WAIT_S,
        help=f"how long to wait for either (default: {WAIT_S})",
    )
    parser.add_argument(
        "command", nargs="*", metavar="-- CMD", help="knock, and wait if --wait says so; then run CMD"
    )
