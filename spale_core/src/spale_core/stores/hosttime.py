# SPDX-License-Identifier: MIT
"""The host's clocks as a store needs them: what a time means after a restart, a suspend or a reboot."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import Protocol

from attrs import frozen

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_JITTER_NS = 1_000_000
"""Clocks are read one after the other; a suspend takes longer than what may lie between."""


@frozen
class Reading:
    """One instant on three clocks: CLOCK_MONOTONIC, CLOCK_BOOTTIME (goes on in suspend), the wall clock."""

    monotonic_ns: int
    boottime_ns: int
    unix_ms: int

    def suspended_ns(self, before_ns: int) -> int:
        """Return how long this boot was suspended so far; `before_ns`, an earlier answer, if that holds."""
        found_ns = self.boottime_ns - self.monotonic_ns
        return before_ns if abs(found_ns - before_ns) < _JITTER_NS else found_ns


class StoreClock(Protocol):
    """What a store asks of the host, so that tests can turn it."""

    def boot_id(self) -> str:
        """Return what names this boot and no other."""

    def read(self) -> Reading:
        """Return the present instant."""


class HostTime:
    """The clocks of this machine."""

    def boot_id(self) -> str:
        """Return the kernel's name for this boot; where it tells none, one that no other start will have."""
        try:
            return _BOOT_ID.read_text("ascii").strip()
        except OSError:
            return f"unknown-{secrets.token_hex(16)}"

    def read(self) -> Reading:
        """Return the present instant."""
        while True:
            before_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
            boottime_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            unix_ms = time.time_ns() // 1_000_000
            # Whoever was kept from the processor in between looks again.
            if time.clock_gettime_ns(time.CLOCK_MONOTONIC) - before_ns < _JITTER_NS:
                return Reading(before_ns, boottime_ns, unix_ms)
