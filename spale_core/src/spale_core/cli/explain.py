# SPDX-License-Identifier: MIT
"""`spale explain`: what packets from somewhere would meet, and why; asking changes nothing."""

from __future__ import annotations

import argparse
import os
from importlib.metadata import version
from typing import TYPE_CHECKING

from spale_core import plugins
from spale_core.cli import explanation
from spale_core.cli.asking import add_socket_options, connected, show
from spale_core.cli.explanation import Explained
from spale_core.config.mistakes import BadValueError, quoted
from spale_core.config.ports import parse_services
from spale_core.errors import PermissionDeniedError, PluginError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from spale_core.control.facts import Facts
    from spale_core.interfaces import DataplaneSettings
    from spale_core.model import Rehearsal, Rehearsed, Service


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command and its options."""
    parser = subparsers.add_parser(
        "explain",
        help="what a packet would meet, and why",
        description="Say what a new connection from SOURCE to PORT would meet, and packets of those that are"
        " open, and why. A second instance of the program judges them, with what the running daemon has;"
        " asking changes nothing.",
    )
    parser.add_argument("source", metavar="SOURCE", help="such as 192.0.2.7, 2001:db8::7 or fe80::7%%eth0")
    parser.add_argument("services", metavar="PORT[/PROTO]", type=_services, help="such as 22 or 22/tcp")
    add_socket_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Explain and return 0, whatever the verdict is. Raise SpaleError."""
    if os.geteuid() != 0:
        raise PermissionDeniedError("only root can explain, which loads a program: run it with sudo")
    found = _facts(arguments)
    rehearse = _rehearsal(found[0]["dataplane"])
    explained = [
        Explained(facts, rehearse(explanation.settings(facts), explanation.rehearsal(facts)))
        for facts in found
    ]
    return show(arguments, explanation.as_json(explained), explanation.as_text(explained))


def _services(text: str) -> Sequence[Service]:
    try:
        found = sorted(parse_services(text))
    except BadValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if len({service.port for service in found}) != 1:
        raise argparse.ArgumentTypeError(f"{quoted(text)} is more than one port; write one, such as 22/tcp")
    return found


def _facts(arguments: argparse.Namespace) -> list[Facts]:
    """Return what the daemon knows, for each protocol; raise UnavailableError for one of another version."""
    with connected(arguments) as client:
        theirs, ours = client.hello["version"], version("spale-core")
        if theirs != ours:
            raise UnavailableError(
                f"the daemon is of version {theirs}, this command of {ours}, and only its own can explain it;"
                " restart it"
            )
        return [
            client.call("facts", source=arguments.source, service=str(service))
            for service in arguments.services
        ]


def _rehearsal(name: str) -> Callable[[DataplaneSettings, Rehearsal], Sequence[Rehearsed]]:
    """Return how the dataplane `name` rehearses; raise PluginError if it cannot."""
    rehearse = plugins.Plugins([name]).dataplane(name).rehearse
    if rehearse is None:
        raise PluginError(f"the dataplane {name!r} cannot rehearse what it would do; its author can add that")
    return rehearse
