# SPDX-License-Identifier: MIT
"""Where the time comes from; the decision modules take times as arguments."""

from __future__ import annotations

import time
from typing import Final, Protocol

from spale_core.model import Moment

JITTER_NS: Final = 1_000_000
"""Clocks are read one after the other; a suspend takes longer than what may lie between."""


class Clock(Protocol):
    """The clocks, so that tests can turn them."""

    def monotonic_ns(self) -> int:
        """Return CLOCK_MONOTONIC in nanoseconds, what bpf_ktime_get_ns reads."""

    def boottime_ns(self) -> int:
        """Return CLOCK_BOOTTIME in nanoseconds: CLOCK_MONOTONIC, and what the machine was suspended."""

    def unix_ms(self) -> int:
        """Return milliseconds since 1970 (UTC)."""


class SystemClock:
    """The clocks of this machine."""

    def monotonic_ns(self) -> int:
        """Return CLOCK_MONOTONIC in nanoseconds, what bpf_ktime_get_ns reads."""
        return time.clock_gettime_ns(time.CLOCK_MONOTONIC)

    def boottime_ns(self) -> int:
        """Return CLOCK_BOOTTIME in nanoseconds: CLOCK_MONOTONIC, and what the machine was suspended."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def unix_ms(self) -> int:
        """Return milliseconds since 1970 (UTC)."""
        return time.time_ns() // 1_000_000


def read(clock: Clock) -> Moment:
    """Return the present instant on both clocks of `clock`."""
    return Moment(monotonic_ns=clock.monotonic_ns(), unix_ms=clock.unix_ms())


def suspended_ns(clock: Clock) -> int:
    """Return how long this boot was suspended so far, up to `JITTER_NS` too much."""
    while True:
        before_ns = clock.monotonic_ns()
        boottime_ns = clock.boottime_ns()
        # Whoever was kept from the processor in between looks again.
        if clock.monotonic_ns() - before_ns < JITTER_NS:
            return boottime_ns - before_ns


class SleepWatch:
    """Tells how long the machine was suspended since it was last asked."""

    def __init__(self, clock: Clock) -> None:
        """Count from now on."""
        self._clock = clock
        self._suspended_ns = suspended_ns(clock)

    def slept_ns(self) -> int:
        """Return that in nanoseconds; 0 nearly always."""
        found_ns = suspended_ns(self._clock)
        slept_ns = found_ns - self._suspended_ns
        if slept_ns < JITTER_NS:
            return 0
        self._suspended_ns = found_ns
        return slept_ns
