# SPDX-License-Identifier: MIT
"""Sessions without a kernel: the table's other columns in Python (spec.md, "The packet's way in")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from spale_core.errors import DataplaneError
from spale_core.model import Session, SessionState
from spale_core.testing.packet import Packet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from spale_core.interfaces import DataplaneSettings
    from spale_core.model import Connection, Service, Source

_PER_PAIR = 64
_CLOSING_NS = 120 * 10**9
_NS_PER_S = 10**9


class FakeSessions:
    """The part of a dataplane that has to do with sessions; times are nanoseconds of CLOCK_MONOTONIC."""

    def __init__(self, settings: DataplaneSettings) -> None:
        """Begin without any."""
        self._room = settings.max_sessions
        self._session_ns = settings.session_s * _NS_PER_S
        self._sessions: dict[Connection, Session] = {}
        self.counts: dict[tuple[Source, Service], int] = {}

    def sessions(self) -> Iterable[Session]:
        """Return the sessions, as packets have opened and moved them."""
        return list(self._sessions.values())

    def browse_sessions(self) -> Iterator[Session]:
        """Return the same."""
        return iter(list(self.sessions()))

    def put_sessions(self, sessions: Sequence[Session]) -> None:
        """Install or replace `sessions`, all or none."""
        new = {session.connection: session for session in sessions}
        if len(self._sessions | new) > self._room:
            raise DataplaneError("too many sessions")
        self._sessions.update(new)

    def change_sessions(self, changes: Iterable[tuple[Session, Session]]) -> None:
        """Put the second of each pair in the place of the first, if that is there and was not restarted."""
        for before, after in changes:
            found = self._sessions.get(before.connection)
            if found is not None and evolve(found, last_ns=before.last_ns) == before:
                self._sessions[before.connection] = after

    def end_sessions(self, sessions: Iterable[Session]) -> None:
        """Remove `sessions`, but none that was restarted since."""
        for session in sessions:
            found = self._sessions.get(session.connection)
            if found is not None and found.opened_ns == session.opened_ns:
                del self._sessions[session.connection]

    def set_session_counts(self, counts: Mapping[tuple[Source, Service], int]) -> None:
        """Say how many sessions each source and service holds; others hold none."""
        self.counts = dict(counts)

    def let_in(self, connection: Connection, packet: Packet, now_ns: int) -> bool:
        """Let a packet in that its grant refuses; return whether its session does."""
        session = self._sessions.get(connection)
        if not self._session_ns or session is None or packet in (Packet.NEW, Packet.ODD):
            return False
        is_open = session.state is SessionState.OPEN
        if now_ns - session.last_ns > (self._session_ns if is_open else _CLOSING_NS):
            return False
        state = SessionState.CLOSING if packet is Packet.END else session.state
        self._sessions[connection] = evolve(session, last_ns=now_ns, state=state)
        return True

    def follow(self, connection: Connection, packet: Packet, now_ns: int) -> bool:
        """Follow a packet that its grant lets in; return whether it is, if need be, tracked."""
        session = self._sessions.get(connection)
        if not self._session_ns or packet in (Packet.OTHER, Packet.ODD):
            return True
        if packet is Packet.NEW:
            return self._open(Session(*connection, opened_ns=now_ns, last_ns=now_ns))
        if session is not None and session.state is SessionState.OPEN:
            self._sessions[connection] = evolve(session, last_ns=now_ns, state=SessionState.CLOSING)
        return True

    def _open(self, session: Session) -> bool:
        """Track `session`, if there is room for it."""
        if session.connection not in self._sessions:
            pair = session.source, session.service
            held = self.counts.get(pair, 0)
            if held >= _PER_PAIR or len(self._sessions) >= self._room:
                return False
            self.counts[pair] = held + 1
        self._sessions[session.connection] = session
        return True
