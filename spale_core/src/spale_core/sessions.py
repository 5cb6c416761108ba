# SPDX-License-Identifier: MIT
"""What becomes of sessions, decided without I/O (spec.md, "The packet's way in").

The program in the kernel opens them and moves them to CLOSING, but it cannot know what the host made of a FIN
or RST. So a sweep compares what the program has with the connections that the host has, and with the grants.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from attrs import evolve, frozen

from spale_core.model import NEVER_NS, Session, SessionState

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from spale_core.holdings import Pair
    from spale_core.model import Connection, Grant, Service

    Change = tuple[Session, Session]
    """A session as it is, and as it should be."""

CROWD: Final = 32
"""From so many sessions of one source and service on, old ones that the host never had must go."""

CROWD_AGE_NS: Final = 60 * 10**9
"""How old they must be for that, in nanoseconds."""

CLOSING_NS: Final = 120 * 10**9
"""How long after its last packet a CLOSING session ends, in nanoseconds; the program's SPALE_CLOSING_S."""

_ADOPTED_NS = 0
_RENEWALS = 1000
"""How often a session is renewed, at most, in the time that it may be silent (docs/adr/0051)."""


@frozen
class View:
    """What a sweep looks at; all of it was read at `now_ns` or a little later.

    `host` has the connections that end on this host, None if it would not tell; `live` has the sources and
    services whose grant is LIVE, `services` what is protected.
    """

    sessions: Iterable[Session]
    host: Container[Connection] | None
    live: Container[Pair]
    services: Container[Service]
    now_ns: int


@frozen
class Orders:
    """What a sweep wants: sessions to change, sessions to end, and how many of each pair are left."""

    changes: Sequence[Change]
    ended: Sequence[Session]
    counts: Mapping[Pair, int]


class Sessions:
    """Judges sessions, sweep after sweep; remembers which ones the host has had."""

    def __init__(self, session_ns: int) -> None:
        """Let an OPEN session be silent for `session_ns` nanoseconds."""
        self._session_ns = session_ns
        self._had: dict[Connection, int] = {}

    def follow(self, before: Sessions) -> None:
        """Remember which sessions the host has had by the sweeps of an earlier configuration."""
        self._had = dict(before._had)

    def sweep(self, view: View) -> Orders:
        """Judge the sessions of `view`."""
        ended: list[Session] = []
        staying: dict[Pair, list[Change]] = {}
        had: dict[Connection, int] = {}
        for session in view.sessions:
            connection = session.connection
            is_there = view.host is not None and connection in view.host
            is_known = is_there or self._was_there(connection, session)
            compared = self._compare(session, view, is_there=is_there, is_known=is_known)
            if self._is_over(compared, view):
                ended.append(session)
                continue
            if is_known:
                had[connection] = session.opened_ns
            staying.setdefault((session.source, session.service), []).append((session, compared))
        self._had = had
        changes: list[Change] = []
        for pair, held in staying.items():
            thinned = self._thin(held, view.now_ns) if len(held) >= CROWD else held
            renewed = self._renew(thinned, view.now_ns) if pair in view.live else thinned
            changes += [(before, after) for before, after in renewed if after is not before]
        return Orders(changes, ended, {pair: len(held) for pair, held in staying.items()})

    def slept(self, view: View, slept_ns: int) -> Orders:
        """Let every session of `view` have been silent for `slept_ns` more.

        One from before this boot cannot be written; what is over by now ends at once, so that it need not be.
        """
        ended: list[Session] = []
        changes: list[Change] = []
        counts: Counter[Pair] = Counter()
        for session in view.sessions:
            # A last packet has no sign in the kernel.
            aged = evolve(session, last_ns=max(0, session.last_ns - slept_ns))
            if self._is_over(evolve(session, last_ns=session.last_ns - slept_ns), view):
                ended.append(session)
                continue
            changes.append((session, aged))
            counts[session.source, session.service] += 1
        return Orders(changes, ended, counts)

    def _was_there(self, connection: Connection, session: Session) -> bool:
        """Tell whether the host has had `connection` since its SYN; what was adopted came from there."""
        return session.opened_ns in (_ADOPTED_NS, self._had.get(connection))

    def _compare(self, session: Session, view: View, *, is_there: bool, is_known: bool) -> Session:
        """Return `session` after a look at the host: OPEN if it is there, CLOSING if it is there no more."""
        if is_there and session.state is SessionState.CLOSING:
            return _moved(session, SessionState.OPEN, session.last_ns)
        is_gone = view.host is not None and is_known and not is_there
        # What is over already must not live on as CLOSING.
        if is_gone and session.state is SessionState.OPEN and not self._is_over(session, view):
            return _closed(session, view.now_ns)
        return session

    def _is_over(self, session: Session, view: View) -> bool:
        if session.service not in view.services:
            return True
        window_ns = CLOSING_NS if session.state is SessionState.CLOSING else self._session_ns
        silent = view.now_ns - session.last_ns > window_ns
        return silent and (session.source, session.service) not in view.live

    def _renew(self, held: Iterable[Change], now_ns: int) -> list[Change]:
        """Let the silence of what is OPEN begin now: its packets come by the grant, and leave no trace."""
        due_ns = now_ns - self._session_ns // _RENEWALS
        return [
            (before, _moved(after, SessionState.OPEN, now_ns))
            if after.state is SessionState.OPEN and after.last_ns < due_ns
            else (before, after)
            for before, after in held
        ]

    def _thin(self, held: Sequence[Change], now_ns: int) -> Sequence[Change]:
        """Close the oldest of those that the host never had, until fewer than `CROWD` are OPEN."""
        opened = [after for _, after in held if after.state is SessionState.OPEN]
        strange = [
            session
            for session in sorted(opened, key=lambda session: session.opened_ns)
            if now_ns - session.opened_ns > CROWD_AGE_NS and not self._was_there(session.connection, session)
        ]
        surplus = max(0, len(opened) - CROWD + 1)
        closing = {session.connection for session in strange[:surplus]}
        return [
            (before, _closed(after, now_ns) if after.connection in closing else after)
            for before, after in held
        ]


def _closed(session: Session, now_ns: int) -> Session:
    """Return `session` CLOSING: what is under way may still come, for as long as after a FIN."""
    return _moved(session, SessionState.CLOSING, now_ns)


def _moved(session: Session, state: SessionState, last_ns: int) -> Session:
    """Return `session` in `state`, the very same if that changes nothing; later packets are not forgotten."""
    if session.state is state and session.last_ns >= last_ns:
        return session
    # attrs.evolve takes twice as long, and under live grants a sweep does this to every session.
    return Session(*session.connection, session.opened_ns, max(session.last_ns, last_ns), state)


def adopted(connections: Iterable[Connection], now_ns: int, room: int) -> tuple[list[Session], int]:
    """Return sessions without an owner for `connections`, at most `room`, and how many had no room.

    Those that come over the loopback are left out: what is on this host needs no session.
    """
    outside = [each for each in connections if not each.source.address.is_loopback]
    sessions = [Session(*each, opened_ns=_ADOPTED_NS, last_ns=now_ns) for each in outside[:room]]
    return sessions, len(outside) - len(sessions)


def live_pairs(grants: Iterable[Grant], now_ns: int) -> set[Pair]:
    """Return the sources and services of those `grants` that are LIVE at `now_ns`."""
    return {
        (grant.source, grant.service)
        for grant in grants
        if now_ns - grant.last_ns <= grant.idle_ns and (grant.end_ns == NEVER_NS or now_ns < grant.end_ns)
    }
