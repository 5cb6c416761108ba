# SPDX-License-Identifier: MIT
"""Events become lines: logfmt, one line each, printable ASCII only.

Whatever a stranger or a file name may contain, it can neither end a line nor look like another key.
"""

from __future__ import annotations

import enum
import os
import re
from typing import TYPE_CHECKING

import attrs

from spale_core import events
from spale_core.events import Level
from spale_core.model import Source
from spale_core.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from spale_core.clock import Clock
    from spale_core.events import Event

_BARE = re.compile(r"[A-Za-z0-9._:/,+%@-]+")

_LEVELS = {
    "error": Level.ERROR,
    "warning": Level.WARNING,
    "notice": Level.NOTICE,
    "info": Level.INFO,
    "debug": Level.DEBUG,
}


def quote(value: str) -> str:
    r"""Return `value` as it may stand behind ``key=``: bare, or in double quotes with backslash escapes.

    Everything but printable ASCII is written as ``\n``, ``\xNN``, ``\uNNNN`` or ``\UNNNNNNNN``.
    """
    if _BARE.fullmatch(value):
        return value
    escaped = value.encode("unicode_escape").decode("ascii").replace('"', '\\"')
    return f'"{escaped}"'


def format_event(event: Event, interfaces: Mapping[int, str] | None = None) -> str:
    """Return the line for `event`, without a line's end; `interfaces` names them by index."""
    words = [event.word]
    for attribute in attrs.fields(type(event)):
        value = getattr(event, attribute.name)
        if value is not None and value != ():
            words.append(f"{attribute.name}={quote(_text(value, interfaces or {}))}")
    return " ".join(words)


class Log:
    """Writes events as lines; refusals at most once per reason and second."""

    def __init__(self, write: Callable[[Level, str], None], clock: Clock, level: str = "info") -> None:
        """Write by ``write(level, line)`` what is at least as important as `level`."""
        self._write = write
        self._clock = clock
        self.level = level
        self._refused = Throttle(events.merge_refused)
        self.interfaces: Mapping[int, str] = {}

    def emit(self, event: Event) -> None:
        """Write the line for `event`; a refusal may come later, summed up with others."""
        if isinstance(event, events.Refused):
            due = self._refused.offer(event, self._clock.monotonic_ns())
            if due is None:
                return
            event = due
        self._emit(event)

    def tick(self) -> None:
        """Write the refusals that were held back for a second."""
        for event in self._refused.due(self._clock.monotonic_ns()):
            self._emit(event)

    def flush(self) -> None:
        """Write everything that was held back."""
        for event in self._refused.flush():
            self._emit(event)

    def _emit(self, event: Event) -> None:
        if event.always or event.level <= _LEVELS.get(self.level, Level.INFO):
            self._write(event.level, format_event(event, self.interfaces))


def write_to_stderr(_level: Level, line: str) -> None:
    """Write `line` to standard error; one that is closed or full must not end the daemon."""
    try:
        os.write(2, line.encode("ascii") + b"\n")
    except OSError:
        return


def syslog_writer() -> Callable[[Level, str], None]:
    """Return a writer to the system's log, as ``spale`` in the facility ``daemon``."""
    import syslog  # noqa: PLC0415 - not on every system, and only with LOG_USE_SYSLOG

    syslog.openlog("spale", syslog.LOG_PID, syslog.LOG_DAEMON)
    return lambda level, line: syslog.syslog(int(level), line)


def _text(value: object, interfaces: Mapping[int, str]) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case enum.Enum():
            return str(value.value)
        case tuple():
            return ",".join(_text(item, interfaces) for item in value)
        case Source() if value.ifindex in interfaces:
            return f"{value.address}%{interfaces[value.ifindex]}"
        case _:
            return str(value)
