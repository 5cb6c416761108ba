# SPDX-License-Identifier: MIT
"""`spale detach`: take our programs off the interfaces, with or without a daemon; this opens the ports."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from spale_core import plugins
from spale_core.errors import PermissionDeniedError, PluginError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

    from spale_core.interfaces import DataplaneKind
    from spale_core.model import Attachment


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command and its options."""
    parser = subparsers.add_parser(
        "detach",
        help="open the ports: remove what is attached",
        description="Remove spale's programs from the interfaces of this network namespace, whoever attached"
        " them. The ports that they protected are open after that; a daemon with nothing left to guard ends.",
    )
    parser.add_argument(
        "-i",
        "--interface",
        action="append",
        metavar="NAME",
        help="only from this interface (repeatable; default: all)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Detach, print a line for each program removed and what follows, and return 0, also if there was none.

    Raise PermissionDeniedError without root, DataplaneError if the kernel refuses, PluginError if no enforcer
    is installed.
    """
    if os.geteuid() != 0:
        raise PermissionDeniedError("only root can detach: run it with sudo")
    removed = detach(_installed_dataplanes(), args.interface)
    for attachment in removed:
        sys.stdout.write(f"detached {attachment.mode.value} from {attachment.interface}\n")
    if not removed:
        where = ", ".join(args.interface) if args.interface else "any interface"
        sys.stdout.write(f"nothing of ours was attached to {where} in this network namespace\n")
    else:
        sys.stdout.write("a daemon that has nothing left to guard ends within ten seconds\n")
    return 0


def detach(kinds: Iterable[DataplaneKind], interfaces: Sequence[str] | None) -> list[Attachment]:
    """Remove what any of `kinds` has attached to `interfaces` (None: to all). Raise DataplaneError."""
    return [attachment for kind in kinds for attachment in kind.detach(interfaces)]


def _installed_dataplanes() -> list[DataplaneKind]:
    """Return every enforcer that can be loaded; one broken plugin must not keep the ports shut.

    Raise PluginError if there is none.
    """
    kinds: list[DataplaneKind] = []
    for plugin in plugins.installed():
        try:
            kinds += plugins.Plugins([plugin.name]).dataplanes()
        except PluginError as error:
            sys.stderr.write(f"spale: left out: {error}\n")
    if not kinds:
        raise PluginError("no enforcer is installed that could detach; pip install spale-tc")
    return kinds
