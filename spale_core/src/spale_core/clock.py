# SPDX-License-Identifier: MIT
"""Where the time comes from; the decision modules take times as arguments."""

from __future__ import annotations

import time
from typing import Protocol

from spale_core.model import Moment


class Clock(Protocol):
    """Both clocks, so that tests can turn them."""

    def monotonic_ns(self) -> int:
        """Return CLOCK_MONOTONIC in nanoseconds, what bpf_ktime_get_ns reads."""

    def unix_ms(self) -> int:
        """Return milliseconds since 1970 (UTC)."""


class SystemClock:
    """The clocks of this machine."""

    def monotonic_ns(self) -> int:
        """Return CLOCK_MONOTONIC in nanoseconds, what bpf_ktime_get_ns reads."""
        return time.clock_gettime_ns(time.CLOCK_MONOTONIC)

    def unix_ms(self) -> int:
        """Return milliseconds since 1970 (UTC)."""
        return time.time_ns() // 1_000_000


def read(clock: Clock) -> Moment:
    """Return the present instant on both clocks of `clock`."""
    return Moment(monotonic_ns=clock.monotonic_ns(), unix_ms=clock.unix_ms())
