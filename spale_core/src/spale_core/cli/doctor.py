# SPDX-License-Identifier: MIT
"""`spale doctor`: what this host's kernel, privileges and packages allow, each with the remedy."""

from __future__ import annotations

import json
import os
import socket
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spale_core import config, plugins
from spale_core.cli.options import DEFAULT_CONFIG, add_config_option
from spale_core.config.host import absent_interfaces
from spale_core.doctor.checkup import Question, Report, check_up
from spale_core.doctor.host import this_host
from spale_core.errors import ConfigError
from spale_core.model import FindingState

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from spale_core.config.settings import Settings
    from spale_core.doctor.checkup import Entry

_LOOPBACK = "lo"
_WIDTH = 80
_STATE_WIDTH = 8
_INDENT = " " * 10


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command and its options."""
    parser = subparsers.add_parser(
        "doctor",
        help="what this host allows, each with the remedy",
        description="Say what this host's kernel, privileges and packages allow, what is missing, and which"
        " command mends it. Changes nothing, and needs no configuration; if there is one, it is judged for"
        " that. The exit code is 0 if all is there that `spale run` needs, else 1.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    add_config_option(parser)
    parser.add_argument(
        "-i",
        "--interface",
        action="append",
        metavar="NAME",
        help="examine this interface (repeatable; default: those of the configuration, else all)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the findings; return 0 if nothing is missing that a daemon needs, else 1."""
    question = _question(arguments)
    report = check_up(this_host(), plugins.installed(), question)
    if arguments.json:
        sys.stdout.write(json.dumps(as_json(report, question), indent=2) + "\n")
    else:
        mistaken = question.settings is None and os.path.lexists(arguments.config or DEFAULT_CONFIG)
        sys.stdout.write("".join(f"{line}\n" for line in as_text(report, mistaken=mistaken)))
    return 1 if report.missing else 0


def _question(arguments: argparse.Namespace) -> Question:
    path = None if arguments.config is None else Path(arguments.config)
    settings, problem = None, ""
    try:
        settings = config.load({}, os.environ, path)
    except ConfigError as error:
        problem = _problem(path or Path(DEFAULT_CONFIG), str(error).count("\n") + 1)
    named = arguments.interface or _configured(settings)
    names = named or [name for _, name in socket.if_nameindex() if name != _LOOPBACK]
    return Question(tuple(names), bool(named), settings, problem)


def _configured(settings: Settings | None) -> Sequence[str]:
    """Return the configured interfaces, without those that are waited for."""
    if settings is None:
        return ()
    absent = absent_interfaces(settings.interfaces)
    return [name for name in settings.interfaces if name not in absent]


def _problem(path: Path, mistakes: int) -> str:
    if not os.path.lexists(path):
        return f"there is none at {path}, so it is not known what a daemon would have to do"
    noun = "mistake" if mistakes == 1 else "mistakes"
    return f"{path} has {mistakes} {noun}"


def as_json(report: Report, question: Question) -> dict[str, Any]:
    """Return what ``--json`` prints; the keys are in docs/operations.md."""
    path = question.settings.config_path if question.settings else None
    return {
        "ready": not report.missing,
        "dataplane": report.dataplane,
        "configuration": None if path is None else str(path),
        "interfaces": list(question.interfaces),
        "findings": [_finding(entry) for entry in report.entries],
    }


def _finding(entry: Entry) -> dict[str, Any]:
    found = entry.finding
    return {
        "area": entry.area,
        "needed": entry.needed,
        "subject": found.subject,
        "interface": found.interface,
        "state": found.state.value,
        "words": found.words,
        "remedy": found.remedy,
    }


def as_text(report: Report, *, mistaken: bool) -> Iterator[str]:
    """Return the report for people, at most 80 columns wide, but for commands: they are never cut.

    `mistaken`: there is a configuration, and it is not valid.
    """
    area = ""
    for entry in report.entries:
        if entry.area != area:
            area = entry.area
            yield f"{area}{' (in use)' if area == report.dataplane else ''}"
        yield from _lines(entry)
    if report.missing:
        yield f"`spale run` cannot work here: {report.missing} missing"
    else:
        rest = ", but for a configuration without mistakes" if mistaken else ""
        yield f"all is there that `spale run` needs{rest}"


def _lines(entry: Entry) -> Iterator[str]:
    found = entry.finding
    subject = f"{found.interface} {found.subject}" if found.interface else found.subject
    first = f"  {found.state.value:<{_STATE_WIDTH}}"
    yield from textwrap.wrap(
        f"{subject}: {found.words}",
        _WIDTH,
        initial_indent=first,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
    if found.remedy is not None and found.state is not FindingState.OK:
        yield f"{_INDENT}mend it: {found.remedy}"
