# SPDX-License-Identifier: MIT
"""The server's door on the demo's stage, where our program and others take turns at ingress."""

from __future__ import annotations

import statistics
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

sys.path.append(str(Path(__file__).parents[1] / "kernel"))  # when a benchmark is run alone

import rig
from coarse import DeployedRig
from machine import Entry

from spale_bpf import libbpf
from spale_core.demo.stage import DOOR, Stage

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

ENTRIES = (Entry.TC_ETH, Entry.XDP)
NOTHING = {Entry.TC_ETH: "selftest_tc", Entry.XDP: "selftest_xdp"}
EVERYTHING = {Entry.TC_ETH: "selftest_tc_drop", Entry.XDP: "selftest_xdp_drop"}
"""The programs that pass, and drop, everything."""

PAIRS = 7
XDP_NATIVE = 1 << 2  # XDP_FLAGS_DRV_MODE


class Deployed(DeployedRig):
    """A program loaded as an enforcer loads it."""

    def alter(self, loading: libbpf.Object) -> None:
        """Tell that it copes with frames of several buffers."""
        if self.entry is Entry.XDP and libbpf.xdp_frags_supported():
            loading.set_program_flags("spale_xdp", libbpf.XDP_HAS_FRAGS)


class Door:
    """Two namespaces, a cable, and a program at the server's end; a context manager."""

    def __init__(self, entry: Entry) -> None:
        """Build and load all; no program hangs there yet."""
        self.entry = entry
        self._hanging: int | None = None
        with ExitStack() as exits:
            self.stage = exits.enter_context(Stage())
            self.ours = exits.enter_context(Deployed(entry))
            content = (rig.BUILD / "spale_selftest.bpf.o").read_bytes()
            self._others = exits.enter_context(libbpf.Object.open(content, "selftest"))
            if libbpf.xdp_frags_supported():
                for name in (NOTHING[Entry.XDP], EVERYTHING[Entry.XDP]):
                    self._others.set_program_flags(name, libbpf.XDP_HAS_FRAGS)
            self._others.load()
            self._ifindex = self.stage.server.index(DOOR)
            self._exits = exits.pop_all()

    def __enter__(self) -> Self:
        """Return the door itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take everything away; the cable takes the program with it."""
        self._exits.close()

    def other(self, name: str) -> int:
        """Return the descriptor of one of the programs that are not ours."""
        return self._others.program_fd(name)

    def hang(self, fd: int) -> None:
        """Put a program in the place of the one that hangs there."""
        if fd == self._hanging:
            return
        with self.stage.server.inside():
            if self.entry is Entry.XDP:
                libbpf.xdp_attach(fd, self._ifindex, XDP_NATIVE)
            else:
                libbpf.prog_attach(fd, self._ifindex, self._hanging)
        self._hanging = fd

    def compare(self, other: int, rate: Callable[[int], float], turns: int) -> tuple[float, float]:
        """Return the median of `PAIRS` ratios, ours to the other program, and the median of ours.

        `rate` measures for a moment the program that it is told of, which hangs there. In each pair both have
        `turns` such moments, in turns: whatever else the machine does meets both.
        """
        ratios, reached = [], []
        for _ in range(PAIRS):
            sums = {self.ours.fd: 0.0, other: 0.0}
            for turn in range(turns):
                for fd in list(sums)[:: 1 if turn % 2 else -1]:
                    self.hang(fd)
                    sums[fd] += rate(fd)
            ratios.append(sums[self.ours.fd] / sums[other])
            reached.append(sums[self.ours.fd] / turns)
        return statistics.median(ratios), statistics.median(reached)
