# SPDX-License-Identifier: MIT
"""`spale run`: the daemon, in the foreground."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spale_core.cli.options import add_configuration_options, load_settings, read_settings

if TYPE_CHECKING:
    import argparse


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command and its options."""
    parser = subparsers.add_parser(
        "run",
        help="protect the ports: the daemon, in the foreground",
        description="Protect ports: attach the enforcer, listen for knocks, grant. An option wins over the"
        " environment (SPALE_KEY, then KEY), that over the file; the key of each option stands in brackets.",
    )
    add_configuration_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run until a signal; return the exit code. Raise ConfigError before anything is attached."""
    # Imported late: --help and a mistake in the configuration need no daemon.
    from spale_core.config.server_keys import look_apart  # noqa: PLC0415 - not for --help

    settings = load_settings(arguments, look_apart)
    from spale_core import monitor  # noqa: PLC0415 - not for a mistake

    return monitor.run(settings, lambda: read_settings(arguments, look_apart))
