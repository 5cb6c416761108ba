# SPDX-License-Identifier: MIT
"""`spale reload`: let the running daemon read its configuration again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spale_core.cli.asking import add_socket_options, ask, show
from spale_core.cli.listings import services_words
from spale_core.cli.tables import counted, paragraph
from spale_core.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command and its options."""
    parser = subparsers.add_parser(
        "reload",
        help="read the configuration again",
        description="Let the running daemon read its configuration again, with the options and the"
        " environment of its start, and wait until it is in force. A mistake changes nothing; the exit code"
        " is then 78.",
    )
    add_socket_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Reload, say what came of it, and return 0. Raise SpaleError."""
    try:
        result = ask(arguments, "reload")
    except ConfigError as error:
        raise type(error)(f"nothing was changed:\n{error}") from None
    return show(arguments, result, as_text(result))


def as_text(result: Mapping[str, Any]) -> Iterator[str]:
    """Return the lines for people."""
    services = services_words(result["services"])
    cut = f" ({result['cut']} with shorter windows)" if result["cut"] else ""
    yield from paragraph(f"in force after {result['took_s']:.1f} s: {counted(result['clients'], 'client')}")
    yield from paragraph(services, 2)
    yield from paragraph(
        f"{counted(result['grants'], 'grant')} and {counted(result['sessions'], 'session')} left{cut},"
        f" {counted(result['ended'], 'grant')} ended",
        2,
    )
    if result["log_only"]:
        yield from paragraph("nothing is dropped (LOG_ONLY)", 2)
