# SPDX-License-Identifier: MIT
"""A clock that a test turns."""

from __future__ import annotations

_NS_PER_MS = 1_000_000
_START_UNIX_MS = 1_700_000_010_000  # an epoch of 30 s begins here
_START_MONOTONIC_NS = 1_000_000_000_000


class FakeClock:
    """A `spale_core.clock.Clock` whose two clocks stand still until they are turned."""

    def __init__(self, unix_ms: int = _START_UNIX_MS, monotonic_ns: int = _START_MONOTONIC_NS) -> None:
        """Begin at these times."""
        self._unix_ms = unix_ms
        self._monotonic_ns = monotonic_ns

    def monotonic_ns(self) -> int:
        """Return CLOCK_MONOTONIC in nanoseconds."""
        return self._monotonic_ns

    def unix_ms(self) -> int:
        """Return milliseconds since 1970 (UTC)."""
        return self._unix_ms

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        milliseconds = round(seconds * 1000)
        self._unix_ms += milliseconds
        self._monotonic_ns += milliseconds * _NS_PER_MS

    def step(self, seconds: float) -> None:
        """Step the wall clock, forward or back, as an administrator or NTP does."""
        self._unix_ms += round(seconds * 1000)
