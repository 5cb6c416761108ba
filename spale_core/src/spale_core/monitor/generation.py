# SPDX-License-Identifier: MIT
"""All that depends on one configuration: a listener, a dataplane, and what judges between the two.

A start makes one; a reload makes the next one beside it and lets that take its place.
"""

from __future__ import annotations

import socket
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from spale_core.allowlist import Allowlist
from spale_core.clock import read
from spale_core.collector import resting
from spale_core.errors import DataplaneError
from spale_core.events import Warned
from spale_core.interfaces import DataplaneSettings
from spale_core.ipc import IpcError, Ready, TagBatch
from spale_core.model import Claim, Granted, Refused
from spale_core.monitor.guard import Guard
from spale_core.monitor.keeper import SessionKeeper
from spale_core.monitor.report import Reporter
from spale_core.monitor.supervisor import Supervisor
from spale_core.reconcile import Reconciler
from spale_core.spawn import Plan
from spale_core.tagtable import MAX_EPOCHS, TagTable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spale_core.config.settings import Settings
    from spale_core.expulsion import Revoked
    from spale_core.interfaces import Dataplane
    from spale_core.log import Log
    from spale_core.model import Counter, Reason, Source
    from spale_core.monitor.ground import Ground
    from spale_core.monitor.succession import Succession
    from spale_core.plugins import InstalledPlugin


class Generation:
    """One configuration in force, or on its way there."""

    def __init__(
        self, ground: Ground, settings: Settings, supervisor: Supervisor, dataplane: Dataplane
    ) -> None:
        """Take a listener that was started and a dataplane that is empty."""
        self.settings = settings
        self.supervisor = supervisor
        self.dataplane = dataplane
        self.reconciler = Reconciler(settings, ground.store, dataplane, ground.started, ground.interfaces)
        self.allowlist = Allowlist(settings.always_allow, ground.store, dataplane)
        self.guard = Guard(ground, settings.interfaces, dataplane)
        self.keeper = SessionKeeper(settings, dataplane, ground.log)
        self.reporter = Reporter(settings, ground.log)
        self.counters: Mapping[Reason, Counter] = {}
        self.last_knocks: dict[str, int] = {}
        self.session_count = 0
        self._clock = ground.clock
        self._ground = ground
        self._tags = TagTable(
            len(settings.clients), len(settings.server_keys), settings.max_skew_s, settings.v1_clients
        )

    def follow(self, before: Generation) -> None:
        """Know what is known under the configuration that this one is to replace."""
        self.reconciler.follow(before.reconciler)
        self.keeper.follow(before.keeper)
        self.last_knocks = before.last_knocks
        self.session_count = before.session_count
        self.guard.follow(before.guard)

    def fill(self) -> None:
        """Tell the kernel what does not change while this configuration is in force."""
        self.dataplane.set_services(self.settings.services)
        self.allowlist.fill()

    def enforce(self, interfaces: Sequence[str], succession: Succession) -> None:
        """Attach, with everything in its place before a packet is judged; raise SpaleError.

        The listener is ready, and what is left of the grants was restored.
        """
        self.renew_tags()
        self.reporter.begin(self.dataplane.counters())
        succession.prepare()
        self.keeper.prepare(self._clock.monotonic_ns())
        self.guard.attach(interfaces)

    def hear(self) -> list[Claim]:
        """Take in what the listener has said, and return its claims, for whoever is to judge them.

        Raise IpcError if it has ended, or names what is not configured.
        """
        claims = []
        for message in self.supervisor.receive():
            if isinstance(message, TagBatch):
                self._tags.add(message)
            elif isinstance(message, Ready):
                self.reporter.listening(self.supervisor.pid)
            elif isinstance(message, Refused):
                self._check(message.client)
                self.reporter.refused(message)
            elif isinstance(message, Claim):
                self._check(message.client)
                claims.append(message)
        return claims

    def judge(self, claims: Sequence[Claim]) -> None:
        """Grant or refuse, and say what; raise SpaleError."""
        now = read(self._clock)
        answers = self.reconciler.judge(claims, now)
        self.reporter.answers(answers)
        for answer in answers:
            if isinstance(answer, Granted):
                self.last_knocks[self.settings.clients[answer.claim.client].name] = now.unix_ms

    def bury(self) -> tuple[str, float]:
        """End a listener that must not go on; return how it ended and in how many seconds the next begins."""
        status = self.supervisor.end()
        self._tags.restart()
        return status, self.supervisor.schedule_restart()

    def count(self) -> None:
        """Say what the kernel has counted; raise DataplaneError."""
        self.counters = self.dataplane.counters()
        self.reporter.counted(self.counters)

    def look(self) -> None:
        """Put back what was lost, and guard what has come; raise SpaleError."""
        if self.guard.look():
            self.end_elsewhere()

    def end_elsewhere(self) -> None:
        """End what was granted on links that are not guarded by now; raise SpaleError."""
        self.reporter.revoked(self.reconciler.end_elsewhere(self._ground.interfaces, read(self._clock)))

    def start_listener(self) -> None:
        """Fork a listener that knows what is known by now."""
        self.supervisor.start(self.reconciler.seen(), unguarded(self._ground, self.settings))

    @property
    def ignores_what_it_guards(self) -> bool:
        """Tell whether the listener, by its birth, refuses what arrives on an interface that is guarded."""
        return not self.supervisor.ignored.isdisjoint(self._ground.interfaces)

    def tags_are_stale(self) -> bool:
        """Tell whether it is time for `renew_tags`."""
        return self._tags.is_stale(read(self._clock))

    def renew_tags(self) -> None:
        """Give the kernel the tags of now; raise DataplaneError."""
        with resting():
            tags = self._tags.kernel_tags(read(self._clock))
        try:
            self.dataplane.set_tags(tags)
        except DataplaneError:
            # After a step of the clock, old and new ones may not fit together; the old are of no use then.
            self.dataplane.set_tags(())
            self.dataplane.set_tags(tags)

    def fill_tags(self) -> None:
        """Give the kernel each epoch as soon as it is whole, while the listener makes the next one."""
        if self.tags_are_stale():
            # What does not fit is said when all are there.
            with suppress(DataplaneError):
                self.renew_tags()

    def sweep(self) -> None:
        """Take over what packets did to grants; raise SpaleError."""
        self.reporter.ended(self.reconciler.sweep(read(self._clock)))

    def sweep_sessions(self) -> None:
        """Compare sessions with the host's connections; raise SpaleError."""
        now_ns = self._clock.monotonic_ns()
        sessions = self.keeper.sweep(now_ns)
        self.session_count = len(sessions)
        self.reconciler.forget_owners(sessions, now_ns)

    def expel(self) -> None:
        """End what clients have that are configured no more, or whose time is over; raise SpaleError."""
        self.reporter.revoked(self.reconciler.expel(read(self._clock)))

    def revoke(self, client: str) -> list[Revoked]:
        """End what a client has by now, say it, and return what that was; raise SpaleError."""
        revoked = self.reconciler.revoke(client, read(self._clock))
        self.reporter.revoked(revoked)
        return revoked

    def age_grants(self, slept_ns: int) -> None:
        """Let grants be so much older: the machine was suspended; raise SpaleError."""
        self.reporter.ended(self.reconciler.slept(slept_ns, read(self._clock)))

    def age_sessions(self, slept_ns: int) -> None:
        """Let sessions be so much older, after the grants; raise DataplaneError."""
        self.keeper.slept(slept_ns, self._clock.monotonic_ns())

    def finish_adoption(self) -> None:
        """Adopt what came while we attached; raise SpaleError."""
        self.keeper.finish(self.guard.attachments, self._clock.monotonic_ns())

    def close(self) -> None:
        """End the listener and give up descriptors; what is attached goes on enforcing."""
        self.supervisor.end()
        self.dataplane.close()

    def _check(self, client: int | None) -> None:
        if client is not None and client >= len(self.settings.clients):
            raise IpcError("a claim or a refusal of a client that is not configured")


def make(
    ground: Ground,
    settings: Settings,
    available: tuple[InstalledPlugin, ...],
    seen: Mapping[bytes, Source | None],
) -> Generation:
    """Start a listener that knows the replay identities `seen`, and load a dataplane; raise SpaleError."""
    plan = Plan(
        settings=settings,
        identity=ground.identity,
        sockets=ground.sockets,
        plugins=available,
    )
    supervisor = Supervisor(plan, ground.selector)
    with ExitStack() as undo:
        # The listener prepares itself on another core while the program is loaded.
        undo.callback(supervisor.end)
        supervisor.start(seen, unguarded(ground, settings))
        dataplane = ground.dataplane.make(_dataplane_settings(settings, ground.log))
        undo.callback(dataplane.close)
        generation = Generation(ground, settings, supervisor, dataplane)
        undo.pop_all()
    return generation


def unguarded(ground: Ground, settings: Settings) -> frozenset[int]:
    """Return the numbers of the interfaces that are there and that we neither guard nor may come to guard.

    While one is waited for, any of the others may yet get its name (docs/adr/0112).
    """
    if not set(settings.interfaces) <= set(ground.interfaces.values()):
        return frozenset()
    try:
        there = socket.if_nameindex()
    except OSError:
        # The monitor judges all the same.
        return frozenset()
    return frozenset(index for index, _ in there) - ground.interfaces.keys()


def _dataplane_settings(settings: Settings, log: Log) -> DataplaneSettings:
    return DataplaneSettings(
        spa_port=settings.listen_port,
        rate=settings.rate,
        burst=settings.burst,
        max_grants=settings.max_grants,
        max_sources=settings.max_sources,
        max_tags=max(1, MAX_EPOCHS * len(settings.clients) * len(settings.server_keys)),
        max_v1_tags=MAX_EPOCHS * len(settings.v1_clients) * len(settings.server_keys),
        max_sessions=settings.max_sessions,
        session_s=settings.session_s,
        log_only=settings.log_only,
        xdp_mode=settings.xdp_mode,
        loader=settings.loader,
        pin_dir=settings.own(settings.pin_dir),
        pin_maps=settings.pin_maps,
        say=lambda message: log.emit(Warned(message=message)),
    )
