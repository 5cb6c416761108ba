# SPDX-License-Identifier: MIT
"""Events become lines: logfmt, one line each, printable ASCII only.

Whatever a stranger or a file name may contain, it can neither end a line nor look like another key.
"""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING, Final

import attrs

from spale_core.events import Level
from spale_core.floods import Floods
from spale_core.model import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from spale_core.clock import Clock
    from spale_core.events import Event

_BARE = re.compile(r"[A-Za-z0-9._:/,+%@-]+")

MAX_VALUE: Final = 1024
"""So many characters a value has at most, quotes included: then a line fits into a pipe in one piece."""

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


def _fitting(value: str) -> str:
    """Return `value` quoted; of one that would fill a line, the beginning, and how much more there is."""
    quoted = quote(value)
    shown = len(value)
    while len(quoted) > MAX_VALUE:
        shown = min(shown - 1, shown * MAX_VALUE // len(quoted), MAX_VALUE)
        quoted = quote(f"{value[:shown]}... ({len(value) - shown} more)")
    return quoted


def format_event(event: Event, interfaces: Mapping[int, str] | None = None) -> str:
    """Return the line for `event`, without a line's end; `interfaces` names them by index."""
    words = [event.word]
    for attribute in attrs.fields(type(event)):
        value = getattr(event, attribute.name)
        if value is not None and value != ():
            words.append(f"{attribute.name}={_fitting(_text(value, interfaces or {}))}")
    return " ".join(words)


class Log:
    """Writes events as lines; of those that come in floods, few (see `floods`)."""

    def __init__(
        self,
        write: Callable[[Level, str], None],
        clock: Clock,
        level: str = "info",
        catch_up: Callable[[], Iterable[Event]] = tuple,
    ) -> None:
        """Write by ``write(level, line)`` what is at least as important as `level`.

        ``catch_up()`` writes what could not be written before, and returns what there is to say about that.
        """
        self._write = write
        self._clock = clock
        self._catch_up = catch_up
        self._floods = Floods()
        self.level = level
        self.interfaces: dict[int, str] = {}

    def emit(self, event: Event) -> None:
        """Write the line for `event`; one of a flood may come later, summed up with others."""
        due = self._floods.offer(event, self._clock.monotonic_ns())
        if due is not None:
            self._emit(due)

    def tick(self) -> None:
        """Write what was held back for a second."""
        self._emit_all(self._floods.due(self._clock.monotonic_ns()))
        self._emit_all(self._catch_up())

    def flush(self) -> None:
        """Write everything that was held back."""
        self._emit_all(self._floods.flush())
        self._emit_all(self._catch_up())

    def _emit_all(self, events: Iterable[Event]) -> None:
        for event in events:
            self._emit(event)

    def _emit(self, event: Event) -> None:
        if event.always or event.level <= _LEVELS.get(self.level, Level.INFO):
            self._write(event.level, format_event(event, self.interfaces))


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
