# SPDX-License-Identifier: MIT
"""Reload: a start beside what is running, which takes its place in one step or not at all (docs/adr/0074).

A second listener gets ready on the same sockets, with a dataplane of its own that is attached nowhere, while
everything goes on. Then, between two packets of the kernel's and two claims of the monitor's, the program is
replaced. Until that has worked, nothing has changed that anybody could notice.
"""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

from attrs import evolve

from spale_core import events, plugins
from spale_core.clock import read
from spale_core.config.restart import keys_that_need_a_restart
from spale_core.errors import ConfigError, SpaleError, UnavailableError
from spale_core.expulsion import Cause, Revoked
from spale_core.holdings import BY_HAND
from spale_core.ipc import IpcError
from spale_core.monitor.generation import make
from spale_core.monitor.succession import Living, Succession
from spale_core.monitor.supervisor import first_failure
from spale_core.reload_events import Reloaded, ReloadFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from spale_core.config.settings import Settings
    from spale_core.log import Log
    from spale_core.model import Holding, Source
    from spale_core.monitor.farewell import Farewells
    from spale_core.monitor.generation import Generation
    from spale_core.monitor.ground import Ground
    from spale_core.restore import Restored

    Outcome = Reloaded | SpaleError
    Tell = Callable[[Outcome], None]
    """Is told what came of a reload."""


class Reloads:
    """Does one reload after another; the daemon's loop calls `turn` each time round."""

    def __init__(self, ground: Ground, reread: Callable[[], Settings], farewells: Farewells) -> None:
        """Read the configuration by ``reread()``; leave listeners that are to end to `farewells`."""
        self._ground = ground
        self._reread = reread
        self._farewells = farewells
        self._is_wanted = False
        self._asked: list[Tell] = []
        self._telling: list[Tell] = []
        self._next: Generation | None = None
        self._began_s = 0.0
        self.last: tuple[Outcome, int] | None = None

    def ask(self, tell: Tell | None = None) -> None:
        """Reload after the one that is under way; all who ask until then get the same one."""
        self._is_wanted = True
        if tell is not None:
            self._asked.append(tell)

    def hear(self, supervisor: object) -> None:
        """Take in what the next listener has said, if it is that one."""
        if self._next is None or supervisor is not self._next.supervisor:
            return
        try:
            self._next.hear()
        except IpcError as error:
            self._fail(first_failure(self._next.supervisor.end(), str(error)))
        else:
            self._next.fill_tags()

    def turn(self, current: Generation) -> Generation:
        """Do the step that is due, if any; return the generation that is in force after it."""
        if self._next is None:
            if self._is_wanted:
                self._begin(current)
        elif self._next.supervisor.is_ready:
            return self._replace(current, self._next)
        elif self._next.supervisor.is_silent():
            self._fail(first_failure(self._next.supervisor.end(), "it did not get ready in time"))
        return current

    def close(self) -> None:
        """Give up a reload that is under way."""
        if self._next is not None:
            self._next.close()
            self._next = None

    def _begin(self, current: Generation) -> None:
        self._is_wanted = False
        self._telling, self._asked = self._asked, []
        self._began_s = time.monotonic()
        self._ground.manager.reloading()
        try:
            settings = self._reread()
            self._refuse_restart(current.settings, settings)
            self._next = self._make(settings, current)
        except (SpaleError, OSError) as error:
            self._fail(error)

    def _refuse_restart(self, before: Settings, after: Settings) -> None:
        """Raise ConfigError if this daemon cannot come to be as `after` says."""
        keys = keys_that_need_a_restart(before, after)
        if keys:
            verb = "needs" if len(keys) == 1 else "need"
            raise ConfigError(f"{', '.join(keys)}: {verb} a restart")

    def _make(self, settings: Settings, current: Generation) -> Generation:
        made = make(self._ground, settings, plugins.installed(), current.reconciler.seen())
        try:
            made.fill()
        except BaseException:
            made.close()
            raise
        made.follow(current)
        return made

    def _replace(self, current: Generation, new: Generation) -> Generation:
        """Let `new` take the place of `current`; return the one that is in force then."""
        self._next = None
        try:
            outcome = self._take_over(current, new)
        except (SpaleError, OSError) as error:
            # It reads the network since it is ready: what it has read, it shall say.
            self._farewells.begin(new)
            new.dataplane.close()
            self._ground.attempt("restore", current.reconciler.reassert)
            self._fail(error)
            return current
        self._ground.attempt("counters", current.count)
        self._farewells.begin(current)
        current.dataplane.close()
        self._tell(outcome)
        return new

    def _take_over(self, current: Generation, new: Generation) -> Reloaded:
        """Replace the program, in one step; raise SpaleError with everything as it was."""
        ground = self._ground
        # What somebody has taken off on purpose stays off, and what packets did, the old windows judge.
        current.guard.look()
        if current.guard.has_nothing_left:
            raise UnavailableError("`spale detach` has opened everything, and only a start shuts it again")
        current.sweep()
        # What has come to the list since the new one was filled.
        new.allowlist.fill()
        living = Living(current.dataplane)
        with closing(Succession(new.settings, new.dataplane, ground.log, living)) as succession:
            restored = new.reconciler.restore(read(ground.clock), succession.grants())
            new.enforce([each.interface for each in current.guard.attachments], succession)
            ground.attempt("succession", succession.finish)
        ground.attempt("adoption", new.finish_adoption)
        self._say_what_is_new(current.settings, new.settings)
        new.reporter.revoked(self._revoked(new, restored.ended))
        return self._outcome(new, restored, succession.count)

    def _say_what_is_new(self, before: Settings, after: Settings) -> None:
        self._ground.log.level = after.log_level
        for warning in after.warnings:
            if warning not in before.warnings:
                self._ground.log.emit(events.Warned(message=warning))

    def _revoked(self, new: Generation, ended: Iterable[Holding]) -> list[Revoked]:
        """End the sessions of clients that are gone; return all that was taken, by client and source."""
        expelled: list[Revoked] = []
        now = read(self._ground.clock)
        self._ground.attempt("expiry", lambda: expelled.extend(new.reconciler.expel(now)))
        configured = {BY_HAND, *(client.name for client in new.settings.clients)}
        taken: dict[tuple[str, Source], Revoked] = {(each.client, each.source): each for each in expelled}
        for holding in ended:
            client, source = holding.client, holding.grant.source
            cause = Cause.CHANGED if client in configured else Cause.REMOVED
            before = taken.get((client, source)) or Revoked(client, cause, source, (), 0)
            services = tuple(sorted({*before.services, holding.grant.service}))
            taken[client, source] = evolve(before, services=services)
        return list(taken.values())

    def _outcome(self, new: Generation, restored: Restored, sessions: int) -> Reloaded:
        return Reloaded(
            services=tuple(sorted(new.settings.services)),
            clients=len(new.settings.clients),
            grants=len(restored.kept),
            cut=restored.cut,
            ended=len(restored.ended),
            sessions=sessions,
            listener_pid=new.supervisor.pid,
            took_s=round(time.monotonic() - self._began_s, 3),
            log_only=new.settings.log_only or None,
        )

    def _fail(self, error: SpaleError | OSError) -> None:
        """Tell that nothing was changed, and why."""
        self.close()
        self._tell(error if isinstance(error, SpaleError) else UnavailableError(str(error)))

    def _tell(self, outcome: Outcome) -> None:
        _log(self._ground.log, outcome)
        self._ground.manager.ready()
        self.last = outcome, self._ground.clock.unix_ms()
        telling, self._telling = self._telling, []
        for tell in telling:
            tell(outcome)


def _log(log: Log, outcome: Outcome) -> None:
    """Say what came of a reload; of several mistakes, each in a line."""
    if isinstance(outcome, Reloaded):
        log.emit(outcome)
        return
    for line in str(outcome).splitlines():
        log.emit(ReloadFailed(message=line))
