# SPDX-License-Identifier: MIT
"""`spale authorize`: grant by hand, and take that back."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from spale_core.cli.asking import add_socket_options, ask, show
from spale_core.cli.listings import services_words
from spale_core.cli.tables import counted, paragraph, word
from spale_core.config.keys import by_key
from spale_core.config.mistakes import BadValueError
from spale_core.config.ports import format_services, parse_services
from spale_core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from spale_core.model import Service

_MOST_PORTS: Final = 256
"""So many the daemon takes in one call."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command and its options."""
    parser = subparsers.add_parser(
        "authorize",
        help="grant by hand",
        description="Grant by hand, as a knock does, and take back what was granted by hand. It survives"
        " restarts, and ends by its windows and after MAX_SEC.",
    )
    actions = parser.add_subparsers(required=True, metavar="add|del")
    add = actions.add_parser("add", description="Let an address in, as if it had knocked.")
    _add_common(add, "to which services (default: all that are protected)")
    for option, key in (("--idle-sec", "IDLE_SEC"), ("--grace-sec", "GRACE_SEC")):
        add.add_argument(
            option,
            type=_window(key),
            metavar="N",
            help=f"{by_key()[key].help} (default: {key} of the daemon)",
        )
    add.set_defaults(run=run_add)
    delete = actions.add_parser("del", description="End what was granted to an address by hand.")
    _add_common(delete, "for which services (default: all)")
    delete.set_defaults(run=run_del)


def _add_common(parser: argparse.ArgumentParser, ports_help: str) -> None:
    parser.add_argument(
        "--ip", metavar="A", required=True, help="the address, such as 192.0.2.7 or fe80::7%%eth0"
    )
    parser.add_argument("--ports", metavar="LIST", type=_services, help=ports_help)
    add_socket_options(parser)


def run_add(arguments: argparse.Namespace) -> int:
    """Grant, say what, and return 0. Raise SpaleError."""
    result = ask(
        arguments,
        "authorize_add",
        ip=arguments.ip,
        ports=_ports(arguments),
        idle_sec=arguments.idle_sec,
        grace_sec=arguments.grace_sec,
    )
    services = services_words(result["granted"])
    return show(arguments, result, paragraph(f"{word(arguments.ip)} is authorized for {services}"))


def run_del(arguments: argparse.Namespace) -> int:
    """End it, say how much that was, and return 0. Raise SpaleError."""
    result = ask(arguments, "authorize_del", ip=arguments.ip, ports=_ports(arguments))
    address = word(arguments.ip)
    if not result["ended"]:
        return show(
            arguments,
            result,
            paragraph(f"nothing was authorized by hand for {address} (knocks: spale revoke)"),
        )
    ended = f"{counted(result['ended'], 'grant')} by hand and {counted(result['sessions'], 'session')}"
    return show(arguments, result, paragraph(f"ended {ended} of {address}"))


def _ports(arguments: argparse.Namespace) -> list[str] | None:
    if arguments.ports is None:
        return None
    ports = format_services(arguments.ports).split(",")
    if len(ports) > _MOST_PORTS:
        raise UsageError(f"--ports names more than {_MOST_PORTS} ports or ranges; leave it out to mean all")
    return ports


def _services(text: str) -> frozenset[Service]:
    try:
        return parse_services(text)
    except BadValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _window(key: str) -> Callable[[str], int]:
    """Return an argparse type: what the configuration takes for `key`."""

    def read(text: str) -> int:
        try:
            value: int = by_key()[key].kind.read(text)
        except BadValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        return value

    return read
