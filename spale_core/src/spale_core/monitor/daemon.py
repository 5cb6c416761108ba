# SPDX-License-Identifier: MIT
"""The monitor's life: fill the kernel, wait for the listener, attach last, then serve until a signal."""

from __future__ import annotations

import os
import selectors
import signal
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from attrs import frozen

from spale_core import events
from spale_core.clock import read
from spale_core.config.settings import OnExit
from spale_core.errors import DataplaneError, SpaleError
from spale_core.ipc import IpcError, TagBatch
from spale_core.model import Claim, Refused
from spale_core.monitor.report import Reporter
from spale_core.monitor.supervisor import first_failure
from spale_core.monitor.watch import AttachmentWatch
from spale_core.tagtable import TagTable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from spale_core.clock import Clock
    from spale_core.config.settings import Settings
    from spale_core.interfaces import Dataplane
    from spale_core.ipc import Message
    from spale_core.log import Log
    from spale_core.model import Attachment
    from spale_core.monitor.keeper import SessionKeeper
    from spale_core.monitor.signals import Signals
    from spale_core.monitor.succession import Succession
    from spale_core.monitor.supervisor import Supervisor
    from spale_core.reconcile import Reconciler

_TICK_S: Final = 1.0
_SWEEP_S: Final = 5.0


@frozen
class Parts:
    """What a daemon is made of; the listener is started, the dataplane loaded and empty."""

    settings: Settings
    clock: Clock
    log: Log
    signals: Signals
    selector: selectors.BaseSelector
    supervisor: Supervisor
    dataplane: Dataplane
    reconciler: Reconciler
    keeper: SessionKeeper
    succession: Succession


class Daemon:
    """One daemon: `start`, then `serve`."""

    def __init__(self, parts: Parts) -> None:
        """Take the parts; nothing is attached yet."""
        settings = parts.settings
        self._parts = parts
        self._log = parts.log
        self._dataplane = parts.dataplane
        self._supervisor = parts.supervisor
        self._tags = TagTable(len(settings.clients), len(settings.server_keys), settings.max_skew_s)
        self._reporter = Reporter(settings, parts.log)
        self._attachments: Sequence[Attachment] = ()
        self._watch = AttachmentWatch(parts.dataplane, parts.log, parts.clock)
        self._stop: signal.Signals | None = None
        self._next_tick_s = self._next_sweep_s = time.monotonic()
        parts.selector.register(parts.signals.reader, selectors.EVENT_READ, parts.signals)

    def start(self) -> None:
        """Fill the kernel, wait until the listener is ready, and attach; raise SpaleError."""
        settings = self._parts.settings
        self._dataplane.set_services(settings.services)
        self._dataplane.set_always_allow(settings.always_allow)
        left = self._parts.succession.grants()
        self._reporter.restored(*self._parts.reconciler.restore(read(self._parts.clock), left))
        while not self._supervisor.is_ready and self._stop is None:
            self._await_listener()
        if self._stop is not None:
            return
        self._renew_tags()
        self._reporter.begin(self._dataplane.counters())
        self._parts.succession.prepare()
        self._parts.keeper.prepare(self._parts.clock.monotonic_ns())
        self._attachments = self._dataplane.attach(settings.interfaces)
        self._attempt("succession", self._parts.succession.finish)
        self._attempt("adoption", self._finish_adoption)
        self._announce()

    def serve(self) -> int:
        """Serve until a signal says to stop; return the exit code."""
        try:
            while self._stop is None:
                self._turn()
            self._attempt("sweep", self._sweep)
            if self._stop is signal.SIGINT or self._parts.settings.on_exit is OnExit.DETACH:
                self._detach()
        except BaseException:
            self._leave("error")
            raise
        self._leave(self._stop.name)
        return 0

    def _await_listener(self) -> None:
        """Take one step towards a listener that is ready; raise SpaleError if it fails."""
        for key, _ in self._parts.selector.select(_TICK_S):
            if key.data is self._supervisor:
                try:
                    self._take(self._supervisor.receive())
                except IpcError as error:
                    raise first_failure(self._supervisor.end(), str(error)) from error
            else:
                self._take_signals()
        if self._supervisor.is_silent():
            raise first_failure(self._supervisor.end(), "it did not get ready in time")

    def _turn(self) -> None:
        """Wait for something to do, and do it."""
        wait_s = self._next_tick_s - time.monotonic()
        restart_in_s = self._supervisor.restart_in_s()
        if restart_in_s is not None:
            wait_s = min(wait_s, restart_in_s)
        for key, _ in self._parts.selector.select(max(0.0, wait_s)):
            if key.data is self._supervisor:
                self._hear()
            else:
                self._take_signals()
        if self._supervisor.restart_in_s() == 0:
            self._supervisor.start(self._parts.reconciler.seen())
        if time.monotonic() >= self._next_tick_s:
            self._tick()

    def _hear(self) -> None:
        was_ready = self._supervisor.is_ready
        try:
            self._take(self._supervisor.receive())
        except IpcError as error:
            self._bury(str(error))
            return
        if self._supervisor.is_ready and not was_ready:
            self._log.emit(events.ListenerReady(pid=self._supervisor.pid))

    def _take(self, messages: Sequence[Message]) -> None:
        """Act on what the listener said; raise IpcError if it names what is not configured."""
        now = read(self._parts.clock)
        claims = [message for message in messages if isinstance(message, Claim)]
        for message in messages:
            if isinstance(message, TagBatch):
                self._tags.add(message, now)
            elif isinstance(message, Refused):
                if message.client is not None and message.client >= len(self._parts.settings.clients):
                    raise IpcError("a refusal of a client that is not configured")
                self._reporter.refused(message)
        if claims:
            self._attempt("claims", lambda: self._judge(claims))

    def _bury(self, cause: str) -> None:
        """End a listener that must not go on, and plan the next one."""
        pid = self._supervisor.pid
        status = self._supervisor.end()
        self._tags.restart()
        wait_s = self._supervisor.schedule_restart()
        self._log.emit(events.ListenerDied(pid=pid, cause=cause, status=status, restart_in_s=wait_s))

    def _take_signals(self) -> None:
        for number in self._parts.signals.pending():
            if number is signal.SIGHUP:
                message = "reload is not yet there; nothing was changed, restart to change something"
                self._log.emit(events.Warned(message=message))
            else:
                self._stop = number

    def _tick(self) -> None:
        """Do what is done every second, and every fifth one the sweep."""
        now_s = time.monotonic()
        self._next_tick_s = now_s + _TICK_S
        if self._supervisor.is_silent():
            self._bury("it said nothing for too long")
        self._attempt("counters", lambda: self._reporter.counted(self._dataplane.counters()))
        if self._tags.is_stale(read(self._parts.clock)):
            self._attempt("tags", self._renew_tags)
        if now_s >= self._next_sweep_s:
            self._next_sweep_s = now_s + _SWEEP_S
            self._attempt("attachments", self._look_after_attachments)
            self._attempt("sweep", self._sweep)
            self._attempt("sessions", self._sweep_sessions)
        self._log.tick()

    def _attempt(self, doing: str, action: Callable[[], None]) -> None:
        """Do `action`; a failure is logged, because the daemon is worth more than one of its chores."""
        try:
            action()
        except SpaleError as error:
            self._log.emit(events.Failed(doing=doing, message=str(error)))

    def _judge(self, claims: Sequence[Claim]) -> None:
        self._reporter.answers(self._parts.reconciler.judge(claims, read(self._parts.clock)))

    def _look_after_attachments(self) -> None:
        released = self._watch.look()
        self._attachments = [each for each in self._attachments if each.interface not in released]

    def _sweep(self) -> None:
        self._reporter.ended(self._parts.reconciler.sweep(read(self._parts.clock)))

    def _sweep_sessions(self) -> None:
        self._parts.keeper.sweep(self._parts.clock.monotonic_ns())

    def _finish_adoption(self) -> None:
        self._parts.keeper.finish(self._attachments, self._parts.clock.monotonic_ns())

    def _renew_tags(self) -> None:
        tags = self._tags.kernel_tags(read(self._parts.clock))
        try:
            self._dataplane.set_tags(tags)
        except DataplaneError:
            # After a step of the clock, old and new ones may not fit together; the old are of no use then.
            self._dataplane.set_tags(())
            self._dataplane.set_tags(tags)

    def _announce(self) -> None:
        settings = self._parts.settings
        for attachment in self._attachments:
            self._log.emit(
                events.Attached(
                    interface=attachment.interface,
                    mode=attachment.mode.value,
                    replaced=attachment.replaced,
                    note=attachment.note or None,
                )
            )
        until_ms = self._parts.reconciler.unbound_until_unix_ms
        self._log.emit(
            events.Ready(
                interface=settings.interfaces,
                dataplane=settings.dataplane,
                mode=tuple(dict.fromkeys(attachment.mode.value for attachment in self._attachments)),
                listen_port=settings.listen_port,
                services=tuple(sorted(settings.services)),
                clients=len(settings.clients),
                pid=os.getpid(),
                listener_pid=self._supervisor.pid,
                log_only=settings.log_only or None,
                unbound_until=None if until_ms is None else _iso(until_ms),
            )
        )

    def _detach(self) -> None:
        self._dataplane.detach()
        for attachment in self._attachments:
            self._log.emit(events.Detached(interface=attachment.interface))
        self._attachments = ()

    def _leave(self, cause: str) -> None:
        """Say how it ends, last: also how to open what stays shut."""
        attached = bool(self._attachments)
        self._log.flush()
        self._log.emit(
            events.Exit(cause=cause, attached=attached, open_with="spale detach" if attached else None)
        )


def _iso(unix_ms: int) -> str:
    """Return the first whole second that is not before `unix_ms`, as ``2026-11-22T18:00:30Z``."""
    moment = datetime.fromtimestamp(-(-unix_ms // 1000), UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
