# SPDX-License-Identifier: MIT
"""A clock that a test turns."""

from __future__ import annotations

_NS_PER_MS = 1_000_000
_START_UNIX_MS = 1_700_000_010_000  # an epoch of 30 s begins here
_START_MONOTONIC_NS = 1_000_000_000_000


class FakeClock:
    """A `spale_core.clock.Clock` whose clocks stand still until they are turned."""

    def __init__(self, unix_ms: int = _START_UNIX_MS, monotonic_ns: int = _START_MONOTONIC_NS) -> None:
        """Begin at these times."""
        self._unix_ms = unix_ms
        self._monotonic_ns = monotonic_ns
        self._suspended_ns = 0

    def monotonic_ns(self) -> int:
        """Return CLOCK_MONOTONIC in nanoseconds."""
        return self._monotonic_ns

    def boottime_ns(self) -> int:
        """Return CLOCK_BOOTTIME in nanoseconds."""
        return self._monotonic_ns + self._suspended_ns

    def unix_ms(self) -> int:
        """Return milliseconds since 1970 (UTC)."""
        return self._unix_ms

    def advance(self, seconds: float) -> None:
        """Let time pass on all clocks."""
        milliseconds = round(seconds * 1000)
        self._unix_ms += milliseconds
        self._monotonic_ns += milliseconds * _NS_PER_MS

    def step(self, seconds: float) -> None:
        """Step the wall clock, forward or back, as an administrator or NTP does."""
        self._unix_ms += round(seconds * 1000)

    def suspend(self, seconds: float) -> None:
        """Sleep: CLOCK_MONOTONIC stands still, the others go on."""
        milliseconds = round(seconds * 1000)
        self._unix_ms += milliseconds
        self._suspended_ns += milliseconds * _NS_PER_MS
