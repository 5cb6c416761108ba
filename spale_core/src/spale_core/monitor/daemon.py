# SPDX-License-Identifier: MIT
"""The monitor's life: fill the kernel, wait for the listener, attach last, then serve until a signal."""

from __future__ import annotations

import os
import selectors
import signal
import time
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from spale_core import events
from spale_core.clock import read
from spale_core.control.server import Server
from spale_core.errors import SpaleError
from spale_core.ipc import IpcError
from spale_core.monitor.ending import DETACHED, UNCONFIRMED, Ending, by_signal
from spale_core.monitor.farewell import Farewells
from spale_core.monitor.ground import find_interfaces
from spale_core.monitor.links import LinkNotices
from spale_core.monitor.management import Management
from spale_core.monitor.reload import Reloads
from spale_core.monitor.servicemanager import sentence
from spale_core.monitor.succession import Succession
from spale_core.monitor.supervisor import first_failure
from spale_core.monitor.timekeeper import Timekeeper
from spale_core.monitor.trial import Trial

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from spale_core.config.settings import Settings
    from spale_core.monitor.generation import Generation
    from spale_core.monitor.ground import Ground
    from spale_core.monitor.reload import Tell

_TICK_S: Final = 1.0
_SWEEP_S: Final = 5.0


class Daemon:
    """One daemon: `start`, then `serve`; and `close`, whatever happens."""

    def __init__(self, ground: Ground, first: Generation, reread: Callable[[], Settings]) -> None:
        """Take the first generation, of which nothing is attached yet; ``reread()`` is for reloads."""
        self._ground = ground
        self._log = ground.log
        self._current = first
        self._farewells = Farewells(ground)
        self._reloads = Reloads(ground, reread, self._farewells)
        self._timekeeper = Timekeeper(ground)
        self._trial = Trial(first.settings.trial_s, ground.clock, ground.log)
        desk = Management(ground, lambda: self._current, self._reloads, self._trial)
        self._server = Server(ground.selector, desk)
        self._links = LinkNotices(ground.selector)
        self._ending: Ending | None = None
        self._next_tick_s = self._next_sweep_s = time.monotonic()
        ground.selector.register(ground.signals.reader, selectors.EVENT_READ, ground.signals)

    def start(self) -> None:
        """Fill the kernel, wait until the listener is ready, and attach; raise SpaleError."""
        first = self._current
        with closing(Succession(first.settings, first.dataplane, self._log)) as succession:
            first.fill()
            restored = first.reconciler.restore(read(self._ground.clock), succession.grants())
            first.reporter.restored(len(restored.kept), len(restored.ended))
            while not first.supervisor.is_ready and self._ending is None:
                self._await_listener()
            if self._ending is not None:
                return
            first.enforce(self._still_there(), succession)
            self._ground.attempt("succession", succession.finish)
            self._ground.attempt("expiry", first.expel)
            self._ground.attempt("interfaces", first.end_elsewhere)
        self._ground.attempt("adoption", first.finish_adoption)
        self._trial.begin()
        self._announce()

    def _still_there(self) -> list[str]:
        """Return the interfaces that were there when we began, and still are; raise UnavailableError.

        One that came anew meanwhile is for the first look, which locks it first.
        """
        settings, began = self._current.settings, self._ground.interfaces
        there = find_interfaces(settings.interfaces, wait=settings.wait_interface)
        return [name for index, name in there.items() if index in began]

    def answer(self, listening: socket.socket, group: int | None) -> None:
        """Answer commands that come to `listening` while we serve; members of `group` may read."""
        self._server.open(listening, group)

    def serve(self) -> int:
        """Serve until a signal says to stop, or nothing is left to guard; return the exit code."""
        self._links.begin()
        try:
            while self._ending is None:
                self._turn()
            self._ground.attempt("sweep", self._current.sweep)
            self._trial.give_up()
            if self._ending.opens:
                self._current.guard.detach()
        except BaseException:
            self._leave("error")
            raise
        self._leave(self._ending.cause)
        return self._ending.exit_code

    def reload(self, tell: Tell | None = None) -> None:
        """Read the configuration again, as soon as a reload that is under way has ended.

        ``tell(outcome)`` is called with the event that the log has, too, or with the SpaleError because of
        which nothing was changed.
        """
        self._reloads.ask(tell)

    def close(self) -> None:
        """End the listeners and give up descriptors; what is attached goes on enforcing."""
        self._server.close()
        self._reloads.close()
        self._farewells.close()
        self._current.close()
        self._timekeeper.close()
        self._links.close()

    def _await_listener(self) -> None:
        """Take one step towards a listener that is ready; raise SpaleError if it fails."""
        supervisor = self._current.supervisor
        for key, _ in self._ground.selector.select(_TICK_S):
            if key.data is supervisor:
                try:
                    self._current.hear()
                except IpcError as error:
                    raise first_failure(supervisor.end(), str(error)) from error
                self._current.fill_tags()
            elif key.data is self._ground.signals:
                self._take_signals()
        if supervisor.is_silent():
            raise first_failure(supervisor.end(), "it did not get ready in time")

    def _turn(self) -> None:
        """Wait for something to do, and do it."""
        wait_s = self._next_tick_s - time.monotonic()
        for due_in_s in (self._current.supervisor.restart_in_s(), self._links.due_in_s()):
            if due_in_s is not None:
                wait_s = min(wait_s, due_in_s)
        ready = self._ground.selector.select(max(0.0, wait_s))
        self._timekeeper.turn(self._current)
        for key, _ in ready:
            self._take(key.data)
        self._links.turn(self._look)
        if self._current.supervisor.restart_in_s() == 0:
            self._ground.attempt("listener", self._current.start_listener)
        if self._ending is None:
            self._current = self._reloads.turn(self._current)
        # After the knocks, and one small step at a time.
        self._server.turn()
        if time.monotonic() >= self._next_tick_s:
            self._tick()

    def _take(self, ready: object) -> None:
        """Take in what is there from whoever it is that is ready."""
        if ready is self._ground.signals:
            self._take_signals()
        elif ready is self._links:
            self._links.noticed()
        elif ready is self._current.supervisor:
            self._hear()
        elif not self._server.notes(ready) and not self._farewells.hear(ready, self._current):
            self._reloads.hear(ready)

    def _hear(self) -> None:
        supervisor = self._current.supervisor
        was_ready = supervisor.is_ready
        try:
            claims = self._current.hear()
        except IpcError as error:
            self._bury(str(error))
            return
        if claims:
            self._ground.attempt("claims", lambda: self._current.judge(claims))
        if supervisor.is_ready and not was_ready:
            self._log.emit(events.ListenerReady(pid=supervisor.pid))

    def _bury(self, cause: str) -> None:
        """End a listener that must not go on, and plan the next one."""
        pid = self._current.supervisor.pid
        status, wait_s = self._current.bury()
        self._log.emit(events.ListenerDied(pid=pid, cause=cause, status=status, restart_in_s=wait_s))

    def _take_signals(self) -> None:
        for number in self._ground.signals.pending():
            if number is signal.SIGHUP:
                self.reload()
            else:
                settings = self._current.settings
                self._ending = by_signal(number, settings, on_trial=self._trial.is_on)

    def _tick(self) -> None:
        """Do what is done every second, and every fifth one the sweep."""
        now_s = time.monotonic()
        self._next_tick_s = now_s + _TICK_S
        attempt, current = self._ground.attempt, self._current
        if current.supervisor.is_silent():
            self._bury("it said nothing for too long")
        self._farewells.end_the_late()
        self._server.tick()
        attempt("counters", current.count)
        self._timekeeper.tick(current)
        if now_s >= self._next_sweep_s:
            self._next_sweep_s = now_s + _SWEEP_S
            self._look()
            attempt("sweep", current.sweep)
            attempt("sessions", current.sweep_sessions)
        if self._trial.is_over:
            self._ending = self._ending or UNCONFIRMED
        self._log.tick()
        self._report()

    def _look(self) -> None:
        """See to it that what is to be guarded is guarded."""
        current = self._current
        self._ground.attempt("attachments", current.look)
        if current.guard.has_nothing_left:
            self._ending = self._ending or DETACHED
        if current.ignores_what_it_guards:
            self._hear()
        if current.ignores_what_it_guards:
            self._bury("it was told to ignore an interface that is guarded by now")

    def _report(self) -> None:
        """Tell the service manager how it goes."""
        last = self._reloads.last
        failed = last is not None and isinstance(last[0], SpaleError)
        self._ground.manager.describe(sentence(self._current, reload_failed=failed))
        self._ground.manager.turn(self._current.supervisor.alive_s)

    def _announce(self) -> None:
        current, until_ms = self._current, self._current.reconciler.unbound_until_unix_ms
        attachments = current.guard.attachments
        current.reporter.attached(attachments)
        self._log.emit(
            events.Ready(
                interface=tuple(attachment.interface for attachment in attachments),
                waiting=current.guard.waiting,
                dataplane=current.settings.dataplane,
                mode=tuple(dict.fromkeys(attachment.mode.value for attachment in attachments)),
                listen_port=current.settings.listen_port,
                services=tuple(sorted(current.settings.services)),
                clients=len(current.settings.clients),
                pid=os.getpid(),
                listener_pid=current.supervisor.pid,
                log_only=current.settings.log_only or None,
                unbound_until=_iso(until_ms),
                trial_until=_iso(self._trial.until_unix_ms),
            )
        )
        self._report()
        self._ground.manager.ready()

    def _leave(self, cause: str) -> None:
        """Say how it ends, last: also how to open what stays shut."""
        attached = bool(self._current.guard.attachments)
        self._ground.manager.stopping()
        self._log.flush()
        self._log.emit(
            events.Exit(cause=cause, attached=attached, open_with="spale detach" if attached else None)
        )


def _iso(unix_ms: int | None) -> str | None:
    """Return the first whole second that is not before `unix_ms`, as ``2026-11-22T18:00:30Z``."""
    if unix_ms is None:
        return None
    moment = datetime.fromtimestamp(-(-unix_ms // 1000), UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
