# SPDX-License-Identifier: MIT
"""`spale status`: how the running daemon is."""

from __future__ import annotations

import time
from itertools import chain, repeat
from typing import TYPE_CHECKING

from spale_core import seccomp
from spale_core.cli.asking import add_socket_options, ask, show
from spale_core.cli.tables import ago, ahead, counted, paragraph, span, word
from spale_core.cli.words import origin

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from spale_core.control.rows import Guarded, LastReload, Status

_INDENT = 16
_MS_PER_S = 1000
_NS_PER_MS = 1_000_000


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command and its options."""
    parser = subparsers.add_parser(
        "status",
        help="how the running daemon is",
        description="Say how the running daemon is: what it guards and how full it is. The exit code is 69 if"
        " none is running.",
    )
    add_socket_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print how it is and return 0. Raise SpaleError."""
    status: Status = ask(arguments, "status")
    return show(arguments, status, as_text(status, time.time_ns() // _NS_PER_MS))


def as_text(status: Status, now_unix_ms: int) -> Iterator[str]:
    """Return the lines for people."""
    for label, words in _lines(status, now_unix_ms):
        yield from paragraph(words, _INDENT, label)


def _lines(status: Status, now_unix_ms: int) -> Iterator[tuple[str, str]]:
    name = "" if status["name"] is None else f", called {word(status['name'])}"
    processes = f"process {status['pid']}, its listener {status['listener_pid']}"
    yield "spale", f"{word(status['version'])}{name}, up for {span(status['uptime_s'])}; {processes}"
    yield "socket", word(status["socket"])
    yield "dataplane", word(status["dataplane"]) + origin(status["loader"])
    for interface in status["interfaces"]:
        yield "interface", _interface(interface)
    if status["log_only"]:
        yield "log only", "nothing is dropped (LOG_ONLY)"
    knocks = f"UDP port {status['listen_port']}, {counted(status['clients'], 'client')}"
    yield "knocks", knocks + _unbound(status["unbound_until_unix_ms"], now_unix_ms)
    yield "store", word(status["store"])
    yield "grants", f"{status['grants']} of at most {status['max_grants']}"
    yield "sessions", f"{status['sessions']} of at most {status['max_sessions']}"
    labels = chain(("last reload",), repeat(""))
    yield from zip(labels, _reload(status["reload"], now_unix_ms), strict=False)
    if status["trial_left_s"] is not None:
        left = ahead(status["trial_left_s"])
        yield "trial", f"opens again and ends {left}, unless `spale confirm` comes"
    if status["listener_filter"] is False:
        yield "warning", seccomp.WARNING
    for warning in status["warnings"]:
        yield "warning", warning


def _interface(found: Guarded) -> str:
    words = [word(found["interface"])]
    if found["waiting"]:
        words.append("waited for: there is no such interface")
    elif not found["attached"]:
        words.append("NOT GUARDED")
    elif found["mode"] is not None:
        words.append(f"guarded by {word(found['mode'])}")
    if found["losses"]:
        words.append(f"taken off by others {counted(found['losses'], 'time')}")
    return ", ".join(words)


def _unbound(until_unix_ms: int | None, now_unix_ms: int) -> str:
    if until_unix_ms is None or until_unix_ms <= now_unix_ms:
        return ""
    left_s = -((now_unix_ms - until_unix_ms) // _MS_PER_S)
    return f"; those that are bound to no address are taken {ahead(left_s)}"


def _reload(last: LastReload, now_unix_ms: int) -> Iterator[str]:
    if last["last"] is None or last["at_unix_ms"] is None:
        yield "none yet"
        return
    when = ago((now_unix_ms - last["at_unix_ms"]) // _MS_PER_S)
    if last["last"] == "ok":
        yield when
        return
    yield f"failed {when}, and changed nothing:"
    yield from last["last"].splitlines()
