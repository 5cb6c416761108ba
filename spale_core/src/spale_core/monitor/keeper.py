# SPDX-License-Identifier: MIT
"""Keeps the dataplane's sessions in step with the host's connections and with the grants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spale_core import events
from spale_core.errors import UnavailableError
from spale_core.hostsockets import ALIVE, ESTABLISHED, HostSockets
from spale_core.sessions import Sessions, View, adopted, live_pairs
from spale_core.start_events import Adopted

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Sequence

    from spale_core.config.settings import Settings
    from spale_core.interfaces import Dataplane
    from spale_core.log import Log
    from spale_core.model import Attachment, Connection, Service, Session
    from spale_core.sessions import Orders

    ReadHost = Callable[[Iterable[Service], int], set[Connection]]
    """Returns the host's connections to services, in any of some states (see `hostsockets`)."""

_NS_PER_S = 1_000_000_000


class SessionKeeper:
    """Adopts at the first attach, and sweeps from then on; with SESSION_SEC=0 it does neither."""

    def __init__(
        self, settings: Settings, dataplane: Dataplane, log: Log, read_host: ReadHost | None = None
    ) -> None:
        """Take what is protected and for how long from `settings`; read this host's connections."""
        self._settings = settings
        self._dataplane = dataplane
        self._log = log
        self._read_host = read_host or HostSockets().connections
        self._sessions = Sessions(settings.session_s * _NS_PER_S)
        self._adoptable = settings.services if settings.adopt and settings.session_s else frozenset()
        self._follows = False
        self._adopted: dict[Connection, Session] = {}
        self._left_out = 0
        self._trouble = ""

    def follow(self, before: SessionKeeper) -> None:
        """Know what an earlier configuration's keeper knows, and adopt only at what is newly protected."""
        self._follows = True
        self._adoptable -= before._settings.services
        self._sessions.follow(before._sessions)

    def prepare(self, now_ns: int) -> None:
        """Adopt what stands, so that no attach can cut it; before the attach, which `finish` follows.

        Raise UnavailableError, with nothing changed, if the host does not tell what stands.
        """
        if not self._adoptable:
            return
        try:
            self._adopt(now_ns)
        except UnavailableError as error:
            raise UnavailableError(
                f"{error}; connections that stand cannot be adopted: load the kernel module tcp_diag, or"
                " start with --no-adopt, which cuts them"
            ) from error

    def finish(self, attachments: Sequence[Attachment], now_ns: int) -> None:
        """Adopt what was established while we attached; or nothing after all, if that was not the first time.

        Who takes over must not bring back what a revocation has ended.
        """
        if not self._adoptable:
            return
        if not self._follows and any(attachment.replaced for attachment in attachments):
            self._dataplane.end_sessions(self._adopted.values())
        else:
            self._adopt(now_ns)
            if self._adopted:
                count, left_out = len(self._adopted), self._left_out or None
                self._log.emit(Adopted(count=count, left_out=left_out))
        self._adopted = {}

    def sweep(self, now_ns: int) -> list[Session]:
        """Do what `Sessions.sweep` orders; return what there was at `now_ns`. Raise DataplaneError."""
        if not self._settings.session_s:
            return []
        sessions = list(self._dataplane.sessions())
        host = self._look() if sessions else None
        self._obey(self._sessions.sweep(self._view(sessions, host, now_ns)))
        return sessions

    def slept(self, slept_ns: int, now_ns: int) -> None:
        """Do what `Sessions.slept` orders, the grants having aged already; raise DataplaneError."""
        sessions = list(self._dataplane.sessions()) if self._settings.session_s else []
        if sessions:
            self._obey(self._sessions.slept(self._view(sessions, None, now_ns), slept_ns))

    def _view(self, sessions: Sequence[Session], host: Container[Connection] | None, now_ns: int) -> View:
        return View(
            sessions=sessions,
            host=host,
            live=live_pairs(self._dataplane.installed(), now_ns) if sessions else frozenset(),
            services=self._settings.services,
            now_ns=now_ns,
        )

    def _obey(self, orders: Orders) -> None:
        self._dataplane.end_sessions(orders.ended)
        self._dataplane.change_sessions(orders.changes)
        self._dataplane.set_session_counts(orders.counts)

    def _adopt(self, now_ns: int) -> None:
        known = {session.connection for session in self._dataplane.sessions()}
        standing = self._read_host(self._adoptable, ESTABLISHED) - known
        room = max(0, self._settings.max_sessions - len(known))
        sessions, self._left_out = adopted(standing, now_ns, room)
        if sessions:
            self._dataplane.put_sessions(sessions)
            self._adopted.update((session.connection, session) for session in sessions)

    def _look(self) -> set[Connection] | None:
        """Return the host's connections; None, and say why once, if it does not tell."""
        try:
            found = self._read_host(self._settings.services, ALIVE)
        except UnavailableError as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                self._log.emit(events.Failed(doing="sessions", message=self._trouble))
            return None
        self._trouble = ""
        return found
