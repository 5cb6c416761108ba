# SPDX-License-Identifier: MIT
"""What the monitor shows and does for the commands (`spale_core.control`)."""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import TYPE_CHECKING

from spale_core import manual_events, seccomp
from spale_core.clock import read
from spale_core.control.rows import Guarded, LastReload, Status
from spale_core.manual import Wish
from spale_core.outcomes import authorized
from spale_core.reload_events import Reloaded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from spale_core.config.settings import Settings
    from spale_core.control.desk import Windows
    from spale_core.expulsion import Revoked
    from spale_core.holdings import Holdings
    from spale_core.interfaces import Dataplane
    from spale_core.manual import Withdrawn
    from spale_core.model import Counter, Moment, Network, Reason, Service, Source
    from spale_core.monitor.generation import Generation
    from spale_core.monitor.ground import Ground
    from spale_core.monitor.reload import Reloads, Tell
    from spale_core.monitor.trial import Trial
    from spale_core.owners import Owners

_NS_PER_S = 1_000_000_000


class Management:
    """The `spale_core.control.desk.Desk` of a daemon: whatever is asked is about the generation in force."""

    def __init__(
        self, ground: Ground, current: Callable[[], Generation], reloads: Reloads, trial: Trial
    ) -> None:
        """Ask ``current()`` which generation is in force."""
        self._ground = ground
        self._current = current
        self._reloads = reloads
        self._trial = trial
        self.version = version("spale-core")
        self.pid = os.getpid()

    @property
    def settings(self) -> Settings:
        """Return the configuration."""
        return self._current().settings

    @property
    def holdings(self) -> Holdings:
        """Return who holds what."""
        return self._current().reconciler.holdings

    @property
    def owners(self) -> Owners:
        """Return whose sessions are whose."""
        return self._current().reconciler.owners

    @property
    def dataplane(self) -> Dataplane:
        """Return what enforces."""
        return self._current().dataplane

    @property
    def counters(self) -> Mapping[Reason, Counter]:
        """Return what the kernel has counted."""
        return self._current().counters

    @property
    def last_knocks(self) -> Mapping[str, int]:
        """Return when the last knock of each client was granted."""
        return self._current().last_knocks

    @property
    def interfaces(self) -> Mapping[int, str]:
        """Return the names of the protected interfaces, by index."""
        return self._ground.log.interfaces

    def now(self) -> Moment:
        """Return what time it is."""
        return read(self._ground.clock)

    def status(self) -> Status:
        """Return how the daemon is."""
        current, now = self._current(), self.now()
        settings = current.settings
        until_ms = current.reconciler.unbound_until_unix_ms
        return Status(
            version=self.version,
            pid=self.pid,
            listener_pid=current.supervisor.pid,
            listener_filter=seccomp.is_on(current.supervisor.pid),
            name=settings.name,
            dataplane=settings.dataplane,
            loader=settings.loader,
            interfaces=self._interfaces(),
            listen_port=settings.listen_port,
            log_only=settings.log_only,
            store=settings.store,
            uptime_s=(now.monotonic_ns - self._ground.started.monotonic_ns) // _NS_PER_S,
            clients=len(settings.clients),
            grants=len(current.reconciler.holdings.pairs()),
            sessions=current.session_count,
            max_grants=settings.max_grants,
            max_sessions=settings.max_sessions,
            unbound_until_unix_ms=until_ms if until_ms is not None and until_ms > now.unix_ms else None,
            reload=self._last_reload(),
            trial_left_s=self._trial.left_s,
            warnings=list(settings.warnings),
            socket=str(settings.own(settings.socket)),
        )

    def revoke(self, client: str) -> Sequence[Revoked]:
        """End what `client` has by now; raise SpaleError."""
        return self._current().revoke(client)

    @property
    def allowed_by_hand(self) -> Iterator[Network]:
        """Return the prefixes that need no knock and are not in the configuration."""
        return self._current().allowlist.by_hand()

    def authorize(
        self, source: Source, services: frozenset[Service] | None, windows_s: Windows
    ) -> Sequence[Service]:
        """Let `source` in, say it, and return to what; raise SpaleError."""
        wish = Wish(source, services, *windows_s)
        grants = self._current().reconciler.manual.authorize(wish, self.now())
        self._ground.log.emit(authorized(grants))
        return [grant.service for grant in grants]

    def withdraw(self, source: Source, services: frozenset[Service] | None) -> Withdrawn:
        """End what was granted to `source` by hand, say it, and return what that was; raise SpaleError."""
        ended = self._current().reconciler.manual.withdraw(source, services, self.now())
        if ended.services or ended.sessions:
            sessions = ended.sessions or None
            self._ground.log.emit(
                manual_events.Deauthorized(source=source, services=ended.services, sessions=sessions)
            )
        return ended

    def allow(self, prefix: Network) -> None:
        """Let `prefix` in without a knock, and say it; raise SpaleError."""
        self._current().allowlist.add(prefix)
        self._ground.log.emit(manual_events.Allowed(prefix=prefix))

    def disallow(self, prefix: Network) -> None:
        """Take back what `allow` did, and say it; raise SpaleError."""
        self._current().allowlist.delete(prefix)
        self._ground.log.emit(manual_events.Disallowed(prefix=prefix))

    def confirm(self) -> None:
        """Let a trial go on for good; raise UsageError if there is none."""
        self._trial.confirm()

    def reload(self, tell: Tell) -> None:
        """Read the configuration again."""
        self._reloads.ask(tell)

    def _interfaces(self) -> list[Guarded]:
        """Return what is guarded, and then what is configured and is not."""
        guard = self._current().guard
        found = {each.interface: each.mode.value for each in guard.attachments}
        return [
            Guarded(
                interface=name,
                mode=found.get(name),
                attached=name in found and name not in guard.missing,
                waiting=name in guard.waiting,
                losses=guard.losses.get(name, 0),
            )
            for name in dict.fromkeys((*found, *guard.unguarded))
        ]

    def _last_reload(self) -> LastReload:
        if self._reloads.last is None:
            return LastReload(last=None, at_unix_ms=None)
        outcome, unix_ms = self._reloads.last
        return LastReload(last="ok" if isinstance(outcome, Reloaded) else str(outcome), at_unix_ms=unix_ms)
