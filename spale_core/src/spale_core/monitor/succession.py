# SPDX-License-Identifier: MIT
"""Taking over what an earlier daemon left in the kernel: since when grants were used, and sessions.

The kernel knows better than the store, because it went on when the earlier daemon had been killed. All is
copied into the new maps before the program is replaced; what packets changed in between follows
(docs/adr/0072).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from spale_core import events
from spale_core.errors import DataplaneError
from spale_core.start_events import Inherited

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spale_core.config.settings import Settings
    from spale_core.interfaces import Dataplane, Predecessor
    from spale_core.log import Log
    from spale_core.model import Connection, Grant, Service, Session, Source


class Living:
    """The dataplane that this very daemon has in force, as a predecessor: it need not be looked for."""

    def __init__(self, dataplane: Dataplane) -> None:
        """Read `dataplane`, which stays its owner's."""
        self._dataplane = dataplane

    def grants(self) -> Iterable[Grant]:
        """Return its grants, as packets have moved them."""
        return self._dataplane.installed()

    def sessions(self) -> Iterable[Session]:
        """Return its sessions, as packets have opened and moved them."""
        return self._dataplane.sessions()

    def close(self) -> None:
        """Do nothing."""


class Succession:
    """`grants`, then `prepare`, then the attach, then `finish`; and `close`, whatever happens.

    What of an earlier daemon cannot be read is left behind, and said: that is no reason not to start. Of a
    living one nothing may be lost, so then it raises DataplaneError.
    """

    def __init__(
        self, settings: Settings, dataplane: Dataplane, log: Log, living: Living | None = None
    ) -> None:
        """Take over from `living`; without it, look for what is on the interfaces of `settings`."""
        self._settings = settings
        self._dataplane = dataplane
        self._log = log
        self._copied: dict[Connection, Session] = {}
        self._used_ns: dict[tuple[Source, Service], int] = {}
        self._is_living = living is not None
        self._predecessor: Predecessor | None = living
        if living is None:
            try:
                self._predecessor = dataplane.predecessor(settings.interfaces)
            except DataplaneError as error:
                self._forgive(error)

    @property
    def count(self) -> int:
        """Return how many sessions go on."""
        return len(self._copied)

    def grants(self) -> dict[tuple[Source, Service], Grant]:
        """Return what was granted, as packets have moved it."""
        if self._predecessor is None:
            return {}
        try:
            grants = {(grant.source, grant.service): grant for grant in self._predecessor.grants()}
        except DataplaneError as error:
            self._forgive(error)
            return {}
        self._used_ns = {pair: grant.last_ns for pair, grant in grants.items()}
        return grants

    def prepare(self) -> None:
        """Copy the sessions, so that the attach cuts none, and what packets did to grants meanwhile."""
        try:
            self._copy(self._left())
            self._follow_uses()
        except DataplaneError as error:
            self._forgive(error)

    def finish(self) -> None:
        """Copy what has changed since `prepare`, where the new program has not changed it by itself."""
        try:
            self._follow_uses()
            left = self._left()
            here = {session.connection for session in self._dataplane.sessions()} if left else set()
            pairs = [(before, left[each]) for each, before in self._copied.items() if each in left]
            self._dataplane.change_sessions((before, after) for before, after in pairs if before != after)
            self._copy({each: session for each, session in left.items() if each not in here})
        except DataplaneError as error:
            self._forgive(error)
        finally:
            self.close()
        if self._copied and not self._is_living:
            self._log.emit(Inherited(sessions=len(self._copied)))

    def close(self) -> None:
        """Let go of what the earlier daemon left."""
        predecessor, self._predecessor = self._predecessor, None
        if predecessor is not None:
            predecessor.close()

    def _follow_uses(self) -> None:
        """Let grants be as young as packets have made them since they were read: a start takes its time."""
        if self._predecessor is None:
            return
        here = {(grant.source, grant.service): grant for grant in self._dataplane.installed()}
        moved = []
        for theirs in self._predecessor.grants():
            pair = theirs.source, theirs.service
            ours, read_ns = here.get(pair), self._used_ns.get(pair)
            if ours and read_ns is not None and theirs.last_ns > max(read_ns, ours.last_ns):
                moved.append(evolve(ours, last_ns=theirs.last_ns))
        if moved:
            self._dataplane.allow(moved)

    def _left(self) -> dict[Connection, Session]:
        """Return the sessions that go on: those to services that are still protected."""
        if self._predecessor is None or not self._settings.session_s:
            return {}
        sessions = self._predecessor.sessions()
        return {each.connection: each for each in sessions if each.service in self._settings.services}

    def _copy(self, sessions: dict[Connection, Session]) -> None:
        """Put as many as there is room for, the last used first."""
        room = max(0, self._settings.max_sessions - len(self._copied))
        chosen = sorted(sessions.values(), key=lambda session: session.last_ns, reverse=True)[:room]
        if chosen:
            self._dataplane.put_sessions(chosen)
            self._copied.update((session.connection, session) for session in chosen)

    def _forgive(self, error: DataplaneError) -> None:
        """Say it, where that is enough."""
        if self._is_living:
            raise error
        self._log.emit(events.Failed(doing="succession", message=str(error)))
