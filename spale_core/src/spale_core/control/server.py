# SPDX-License-Identifier: MIT
"""The monitor's end of the management socket: connections in its selector, and one bounded step per turn.

Whoever is at the other end, and whatever they send or do not read: in each turn of the monitor's loop this
does one thing that takes less than a millisecond, and knocks come first (docs/adr/0093).
"""

from __future__ import annotations

import selectors
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from spale_core.control import peers, wire
from spale_core.control.connection import Connection
from spale_core.control.wire import Problem
from spale_core.errors import PermissionDeniedError, UnavailableError

if TYPE_CHECKING:
    import socket

    from spale_core.control.desk import Desk

MAX_CONNECTIONS: Final = 64
PATIENCE_S: Final = 10.0
"""How long a peer may leave what it asked for unread."""

_STRANGER: Final = wire.error(
    Problem(
        PermissionDeniedError.exit_code, "only root may talk to the daemon, members of SOCKET_GROUP may read"
    )
)
_CROWDED: Final = wire.error(
    Problem(UnavailableError.exit_code, "the daemon has too many callers; try again")
)


class Server:
    """The monitor's loop calls `notes` for what is ready, then `turn`, and `tick` every second."""

    def __init__(self, selector: selectors.BaseSelector, desk: Desk) -> None:
        """Take no callers yet; let `selector` watch, ask `desk`."""
        self._listening: socket.socket | None = None
        self._group: int | None = None
        self._selector = selector
        self._desk = desk
        self._connections: list[Connection] = []
        self._ready: list[Server | Connection] = []
        self._turns = 0
        self._is_looking = False
        self.served = 0
        self.is_open = True

    def open(self, listening: socket.socket, group: int | None) -> None:
        """Take callers from `listening`, which does not block; members of `group` may read."""
        self._listening, self._group = listening, group
        self._look_out()

    def notes(self, data: object) -> bool:
        """Take note that what was registered with `data` is ready; tell whether that is one of ours."""
        if data is self or isinstance(data, Connection):
            self._ready.append(data)
            return True
        return False

    def turn(self) -> None:
        """Let the one of those that are ready who has waited longest do one step; raise nothing."""
        ready = [each for each in self._ready if each.is_open]
        self._ready = []
        if not ready:
            return
        chosen = min(ready, key=lambda each: each.served)
        self._turns += 1
        chosen.served = self._turns
        chosen.step()

    def step(self) -> None:
        """Take one caller."""
        if self._listening is None:
            return
        try:
            sock, _ = self._listening.accept()
        except BlockingIOError:
            return
        except OSError:
            # No descriptor is left, or no memory: looking again at once would be all that we do.
            self._look_away()
            return
        self._welcome(sock)

    def tick(self) -> None:
        """Drop who does not read what it asked for."""
        now_s = time.monotonic()
        for connection in self._connections:
            if connection.is_behind and now_s - connection.moved_s > PATIENCE_S:
                connection.close()
        self._forget_closed()
        self._look_out()

    def close(self) -> None:
        """Let go of everybody; the listening socket is the caller's."""
        for connection in self._connections:
            connection.close()
        self._connections.clear()
        self._look_away()
        self._listening = None

    def _look_out(self) -> None:
        if self._listening is not None and not self._is_looking:
            self._selector.register(self._listening, selectors.EVENT_READ, self)
            self._is_looking = True

    def _look_away(self) -> None:
        if self._listening is not None and self._is_looking:
            self._selector.unregister(self._listening)
            self._is_looking = False

    def _welcome(self, sock: socket.socket) -> None:
        sock.settimeout(0)
        with suppress(OSError):
            role = peers.role_of(sock, self._group)
            if role is not None and self._has_room_for(role):
                self._connections.append(Connection(sock, role, self._selector, self._desk))
                return
            sock.send(_STRANGER if role is None else _CROWDED)
        sock.close()

    def _has_room_for(self, role: str) -> bool:
        """Make room if there is none: the longest idle goes, and for an admin any reader before that."""
        self._forget_closed()
        if len(self._connections) < MAX_CONNECTIONS:
            return True
        is_admin = role == peers.ADMIN
        candidates = [
            each for each in self._connections if not each.is_busy or (is_admin and each.role != peers.ADMIN)
        ]
        if not candidates:
            return False
        min(candidates, key=lambda each: (each.role == peers.ADMIN, each.is_busy, each.moved_s)).close()
        self._forget_closed()
        return True

    def _forget_closed(self) -> None:
        self._connections = [each for each in self._connections if each.is_open]
