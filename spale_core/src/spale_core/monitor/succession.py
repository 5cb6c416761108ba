# SPDX-License-Identifier: MIT
"""Taking over what an earlier daemon left in the kernel: since when grants were used, and sessions.

The kernel knows better than the store, because it went on when the earlier daemon had been killed. All is
copied into the new maps before the program is replaced; what packets changed in between follows
(docs/adr/0072).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spale_core import events
from spale_core.errors import DataplaneError

if TYPE_CHECKING:
    from spale_core.config.settings import Settings
    from spale_core.interfaces import Dataplane, Predecessor
    from spale_core.log import Log
    from spale_core.model import Connection, Grant, Service, Session, Source


class Succession:
    """`grants`, then `prepare`, then the attach, then `finish`; and `close`, whatever happens.

    What cannot be read is left behind, and said: that is no reason not to start.
    """

    def __init__(self, settings: Settings, dataplane: Dataplane, log: Log) -> None:
        """Look for what is on the interfaces of `settings`."""
        self._settings = settings
        self._dataplane = dataplane
        self._log = log
        self._copied: dict[Connection, Session] = {}
        try:
            self._predecessor: Predecessor | None = dataplane.predecessor(settings.interfaces)
        except DataplaneError as error:
            self._predecessor = None
            self._say(error)

    def grants(self) -> dict[tuple[Source, Service], Grant]:
        """Return what was granted, as packets have moved it."""
        if self._predecessor is None:
            return {}
        try:
            return {(grant.source, grant.service): grant for grant in self._predecessor.grants()}
        except DataplaneError as error:
            self._say(error)
            return {}

    def prepare(self) -> None:
        """Copy the sessions, so that the attach cuts none."""
        try:
            self._copy(self._left())
        except DataplaneError as error:
            self._say(error)

    def finish(self) -> None:
        """Copy what has changed since `prepare`, where the new program has not changed it by itself."""
        try:
            left = self._left()
            here = {session.connection for session in self._dataplane.sessions()} if left else set()
            pairs = [(before, left[each]) for each, before in self._copied.items() if each in left]
            self._dataplane.change_sessions((before, after) for before, after in pairs if before != after)
            self._copy({each: session for each, session in left.items() if each not in here})
        except DataplaneError as error:
            self._say(error)
        if self._copied:
            self._log.emit(events.Inherited(sessions=len(self._copied)))
        self.close()

    def close(self) -> None:
        """Let go of what the earlier daemon left."""
        predecessor, self._predecessor = self._predecessor, None
        if predecessor is not None:
            predecessor.close()

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

    def _say(self, error: DataplaneError) -> None:
        self._log.emit(events.Failed(doing="succession", message=str(error)))
