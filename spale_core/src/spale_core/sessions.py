# SPDX-License-Identifier: MIT
"""What becomes of sessions, decided without I/O (spec.md, "The packet's way in").

The program in the kernel opens them and moves them to CLOSING, but it cannot know what the host made of a FIN
or RST. So a sweep compares what the program has with the connections that the host has, and with the grants.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import evolve, frozen

from spale_core.model import NEVER_NS, Session, SessionState

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from spale_core.holdings import Pair
    from spale_core.model import Connection, Grant, Service

CROWD: Final = 32
"""From so many sessions of one source and service on, old ones that no host has ever confirmed must go."""

CROWD_AGE_NS: Final = 60 * 10**9
"""How old they must be for that, in nanoseconds."""

CLOSING_NS: Final = 120 * 10**9
"""How long after its last packet a CLOSING session ends, in nanoseconds; the program's SPALE_CLOSING_S."""

_ADOPTED_NS = 0


@frozen
class View:
    """What a sweep looks at; all of it was read at about `now_ns` or later.

    `host` has the connections that end on this host, None if it would not tell; `live` are the sources and
    services whose grant is LIVE, `services` what is protected.
    """

    sessions: Iterable[Session]
    host: AbstractSet[Connection] | None
    live: Container[Pair]
    services: Container[Service]
    now_ns: int


@frozen
class Orders:
    """What a sweep wants: sessions as they are and as they should be, those to end, and how many stay."""

    changes: Sequence[tuple[Session, Session]]
    ended: Sequence[Session]
    counts: Mapping[Pair, int]


class Sessions:
    """Judges sessions, sweep after sweep; remembers which ones the host has had."""

    def __init__(self, session_ns: int) -> None:
        """Let an OPEN session be silent for `session_ns` nanoseconds."""
        self._session_ns = session_ns
        self._confirmed: dict[Connection, int] = {}

    def sweep(self, view: View) -> Orders:
        """Judge all sessions of `view`."""
        ended: list[Session] = []
        staying: dict[Pair, list[tuple[Session, Session]]] = {}
        confirmed: dict[Connection, int] = {}
        for session in view.sessions:
            connection = session.connection
            pair = session.source, session.service
            was_there = self._was_confirmed(connection, session)
            judged = self._judge(session, connection, view, was_there=was_there)
            if judged is None:
                ended.append(session)
                continue
            if was_there or (view.host is not None and connection in view.host):
                confirmed[connection] = session.opened_ns
            staying.setdefault(pair, []).append((session, judged))
        self._confirmed = confirmed
        changes = [
            change
            for pair, held in staying.items()
            for change in self._settle(held, view.now_ns, is_live=pair in view.live)
            if change[0] != change[1]
        ]
        return Orders(changes, ended, {pair: len(held) for pair, held in staying.items()})

    def _was_confirmed(self, connection: Connection, session: Session) -> bool:
        """Tell whether the host has had `connection` since its last SYN; what was adopted came from there."""
        return session.opened_ns in (_ADOPTED_NS, self._confirmed.get(connection))

    def _judge(
        self, session: Session, connection: Connection, view: View, *, was_there: bool
    ) -> Session | None:
        """Return `session` as it is after a look at the host, None if it is over."""
        # Judged first as well: what is over already must not live up once more as CLOSING.
        if session.state is SessionState.OPEN and self._is_over(session, view):
            return None
        compared = _compare(session, connection, view, was_there=was_there)
        return None if self._is_over(compared, view) else compared

    def _is_over(self, session: Session, view: View) -> bool:
        if session.service not in view.services:
            return True
        window_ns = CLOSING_NS if session.state is SessionState.CLOSING else self._session_ns
        if view.now_ns - session.last_ns <= window_ns:
            return False
        return (session.source, session.service) not in view.live

    def _settle(
        self, held: list[tuple[Session, Session]], now_ns: int, *, is_live: bool
    ) -> list[tuple[Session, Session]]:
        """Close what is too much for one source and service, and renew the rest under a LIVE grant."""
        settled = self._thin(held, now_ns) if len(held) >= CROWD else held
        if not is_live:
            return settled
        return [
            (before, evolve(after, last_ns=max(after.last_ns, now_ns)))
            if after.state is SessionState.OPEN
            else (before, after)
            for before, after in settled
        ]

    def _thin(self, held: list[tuple[Session, Session]], now_ns: int) -> list[tuple[Session, Session]]:
        """Close the oldest of those that the host never had, until fewer than `CROWD` are open."""
        opened = [after for _, after in held if after.state is SessionState.OPEN]
        stale = sorted(
            (
                session
                for session in opened
                if not self._was_confirmed(session.connection, session)
                and now_ns - session.opened_ns > CROWD_AGE_NS
            ),
            key=lambda session: session.opened_ns,
        )
        surplus = max(0, len(opened) - CROWD + 1)
        closing = {session.connection for session in stale[:surplus]}
        return [
            (before, _closed(after, now_ns) if after.connection in closing else after)
            for before, after in held
        ]


def adopted(connections: Iterable[Connection], now_ns: int, room: int) -> tuple[list[Session], int]:
    """Return sessions without an owner for `connections`, at most `room`, and how many had no room.

    Those that come over the loopback are left out: what is on this host needs no session.
    """
    outside = [each for each in connections if not each.source.address.is_loopback]
    sessions = [Session(*each, opened_ns=_ADOPTED_NS, last_ns=now_ns) for each in outside[:room]]
    return sessions, len(outside) - len(sessions)


def live_pairs(grants: Collection[Grant], now_ns: int) -> set[Pair]:
    """Return the sources and services of those `grants` that are LIVE at `now_ns`."""
    return {
        (grant.source, grant.service)
        for grant in grants
        if now_ns - grant.last_ns <= grant.idle_ns
        and (grant.end_ns == NEVER_NS or now_ns < grant.end_ns)
    }


def _compare(session: Session, connection: Connection, view: View, *, was_there: bool) -> Session:
    """Return `session` after a look at the host: OPEN if it is there, CLOSING if it is there no more."""
    if view.host is None:
        return session
    is_there = connection in view.host
    if is_there and session.state is SessionState.CLOSING:
        return evolve(session, state=SessionState.OPEN)
    if was_there and not is_there and session.state is SessionState.OPEN:
        return _closed(session, view.now_ns)
    return session


def _closed(session: Session, now_ns: int) -> Session:
    """Return `session` CLOSING: what is under way may still come, for as long as after a FIN."""
    return evolve(session, state=SessionState.CLOSING, last_ns=max(session.last_ns, now_ns))
