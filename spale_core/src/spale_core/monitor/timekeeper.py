# SPDX-License-Identifier: MIT
"""Keeps what depends on clocks in step with them: wall clocks are set, machines sleep, clients expire."""

from __future__ import annotations

import selectors
from typing import TYPE_CHECKING

from spale_core import events
from spale_core.clock import SleepWatch, read
from spale_core.walltimer import WallTimer

if TYPE_CHECKING:
    from spale_core.monitor.generation import Generation
    from spale_core.monitor.ground import Ground

_NS_PER_S = 1_000_000_000


class Timekeeper:
    """The daemon's loop calls `turn` each time round, before anything is judged, and `tick` every second.

    Its timer wakes the loop when the wall clock is set, after a suspend, and when a client's time is over.
    """

    def __init__(self, ground: Ground) -> None:
        """Let the loop's selector watch the timer."""
        self._ground = ground
        self._sleep = SleepWatch(ground.clock)
        self._timer = WallTimer()
        ground.selector.register(self._timer, selectors.EVENT_READ, self)

    def turn(self, generation: Generation) -> None:
        """Do what the clocks ask for."""
        slept_ns = self._sleep.slept_ns()
        if slept_ns:
            self._ground.log.emit(events.Warned(message=_words(slept_ns)))
            self._ground.attempt("suspend", lambda: generation.age_grants(slept_ns))
            self._ground.attempt("suspend", lambda: generation.age_sessions(slept_ns))
        if generation.tags_are_stale():
            self._ground.attempt("tags", generation.renew_tags)
        if self._timer.clear():
            self.tick(generation)

    def tick(self, generation: Generation) -> None:
        """End what clients have whose time is over, and wait for the next one's."""
        self._ground.attempt("expiry", generation.expel)
        self._timer.arm(generation.reconciler.next_expiry_unix_ms(read(self._ground.clock)))

    def close(self) -> None:
        """Let go of the timer."""
        self._ground.selector.unregister(self._timer)
        self._timer.close()


def _words(slept_ns: int) -> str:
    slept_s = slept_ns / _NS_PER_S
    return f"this machine was suspended for {slept_s:.1f} s; grants and sessions have aged by that"
