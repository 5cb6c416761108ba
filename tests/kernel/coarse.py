# SPDX-License-Identifier: MIT
"""The objects that read the clock of the last tick (docs/adr/0057), and that clock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from machine import SECOND, now_ns
from rig import Rig

from spale_bpf import libbpf

if TYPE_CHECKING:
    from machine import Outcome

_CLOCK_MONOTONIC_COARSE = 6
_LONGEST_NS = 10 * SECOND


def coarse_ns() -> int:
    """Return what bpf_ktime_get_coarse_ns reads."""
    return time.clock_gettime_ns(_CLOCK_MONOTONIC_COARSE)


class CoarseRig(Rig):
    """One entry of a coarse object."""

    def file(self, base: str) -> str:
        """Return the other object."""
        return f"{base}_coarse"


class DeployedRig(Rig):
    """One entry of the object that an enforcer takes on this kernel."""

    def file(self, base: str) -> str:
        """Ask the kernel."""
        return f"{base}_coarse" if libbpf.coarse_clock_supported() else base


def catch_up() -> None:
    """Wait until what has just been written is past for the coarse clock too, some milliseconds."""
    written_ns = now_ns()
    while coarse_ns() < written_ns:
        assert now_ns() - written_ns < _LONGEST_NS, "the clock stands still"


class PatientRig(CoarseRig):
    """The same for tests that know nothing of ticks."""

    def run(self, frame: bytes) -> Outcome:
        """Run a packet when all that was written is past."""
        catch_up()
        return super().run(frame)
