# SPDX-License-Identifier: MIT
"""Where lines go, and what becomes of them when whoever takes them does not: nobody here ever waits.

A line that cannot be taken yet is kept for a while, in order; what there is no room for is counted, and said
as soon as lines go out again (docs/adr/0116).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from attrs import frozen

from spale_core.events import Level
from spale_core.log import Log
from spale_core.log_events import LogLost, LogMoved
from spale_core.stderr import Stderr
from spale_core.syslog import Syslog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    from spale_core.clock import Clock
    from spale_core.config.settings import Settings
    from spale_core.events import Event

    class Way(Protocol):
        """A way out for lines."""

        def send(self, level: Level, unix_ms: int, line: str) -> bool:
            """Take a line of that time; return False if that is not possible yet. Raise OSError."""

        def close(self) -> None:
            """Let go of what was opened."""


ROOM: Final = 2**16
"""So many characters of lines wait; of lines that matter at least as much as a grant, `ROOM_FOR_GRANTS`."""

ROOM_FOR_GRANTS: Final = 2**20


@frozen
class _Waiting:
    level: Level
    unix_ms: int
    line: str


class Outlet:
    """Sends lines by a way, or by a spare one while the first does not exist."""

    def __init__(self, clock: Clock, way: Way, spare: Stderr | None = None) -> None:
        """Stamp lines by `clock`; `way` is used, and `spare` while that raises OSError."""
        self._clock = clock
        self._way = way
        self._spare = spare
        self._waiting: deque[_Waiting] = deque()
        self._size = 0
        self._lost = 0
        self._cause: str | None = None
        self._told: str | None = None

    def write(self, level: Level, line: str) -> None:
        """Send `line` behind those that wait."""
        self._send_waiting()
        waiting = _Waiting(level, self._clock.unix_ms(), line)
        if self._waiting or not self._send(waiting):
            self._keep(waiting)

    def catch_up(self) -> Iterator[Event]:
        """Send what waits; return what there is to say about that."""
        self._send_waiting()
        if self._cause != self._told:
            self._told = self._cause
            yield LogMoved(to="syslog" if self._cause is None else "stderr", cause=self._cause)
        if self._lost and not self._waiting:
            lost, self._lost = self._lost, 0
            yield LogLost(count=lost)

    def close(self) -> None:
        """Let go of what was opened; what still waits is lost."""
        for way in (self._way, self._spare):
            if way is not None:
                way.close()

    def _send_waiting(self) -> None:
        while self._waiting and self._send(self._waiting[0]):
            self._size -= len(self._waiting.popleft().line)

    def _send(self, waiting: _Waiting) -> bool:
        """Send a line; return False if it has to wait. One that cannot be sent at all is lost."""
        arguments = (waiting.level, waiting.unix_ms, waiting.line)
        try:
            is_sent = self._way.send(*arguments)
        except OSError as error:
            if self._spare is None:
                self._lost += 1
                return True
            self._cause = error.strerror or str(error)
        else:
            if is_sent:
                self._cause = None
            return is_sent
        try:
            return self._spare.send(*arguments)
        except OSError:
            self._lost += 1
            return True

    def _keep(self, waiting: _Waiting) -> None:
        room = ROOM if waiting.level > Level.NOTICE else ROOM_FOR_GRANTS
        if self._size + len(waiting.line) > room:
            self._lost += 1
            return
        self._waiting.append(waiting)
        self._size += len(waiting.line)


def open_log(settings: Settings, clock: Clock) -> Log:
    """Return the log that `settings` ask for, of this process; what it needs is opened now, for good."""
    stderr = Stderr()
    outlet = Outlet(clock, Syslog(), stderr) if settings.log_syslog else Outlet(clock, stderr)
    return Log(outlet.write, clock, settings.log_level, outlet.catch_up)
