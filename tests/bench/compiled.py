# SPDX-License-Identifier: MIT
"""What LOADER=bcc costs: at the start, and each packet: ``python tests/bench/compiled.py``, as root.

Packets are those of kernel_ns.py, by both programs in turns.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

sys.path += [str(Path(__file__).parents[1] / name) for name in ("kernel", "unit")]

import kernel_ns
import rig
from coarse import DeployedRig
from compiled_rig import CompiledRig

from spale_bpf import libbpf
from spale_bpf.compiler import PROGRAMS, shipped
from spale_core.interfaces import DataplaneSettings
from spale_tc.attach import make

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TRIES = 7
ROUNDS = 15
SMALL = DataplaneSettings(spa_port=1, rate=0, burst=1, max_grants=1, max_sources=64, max_tags=1)


class CompiledDeployedRig(CompiledRig, DeployedRig):
    """One entry of what an enforcer compiles on this kernel."""


def _median_ms(action: Callable[[], object]) -> float:
    took = []
    for _ in range(TRIES):
        began_s = time.perf_counter()
        action()
        took.append(time.perf_counter() - began_s)
    return statistics.median(took) * 1000


def starts() -> Iterator[str]:
    """Say how long it takes to compile, and to load what was compiled beforehand."""
    compiler = shipped()
    yield f"load what was compiled beforehand, tc  {_median_ms(lambda: make(SMALL).close()):6.0f} ms"
    for name in PROGRAMS:
        took_ms = _median_ms(lambda name=name: compiler.compile(name))
        yield f"compile, {name:28}  {took_ms:6.0f} ms"
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    yield f"memory of the compiler                 {peak:6.0f} MB"


def packets() -> Iterator[str]:
    """Say what each case costs in both programs, in nanoseconds over one that does nothing."""
    ratios = []
    with ExitStack() as exits:
        content = (rig.BUILD / "spale_selftest.bpf.o").read_bytes()
        nothing = exits.enter_context(libbpf.Object.open(content, "selftest"))
        nothing.load()
        for entry, idle in kernel_ns.KINDS.items():
            pair = [exits.enter_context(made(entry)) for made in (DeployedRig, CompiledDeployedRig)]
            for case in kernel_ns.cases():
                before, here = _compare(pair, nothing.program_fd(idle), case)
                ratios.append(here / max(1, before))
                yield f"{entry.name:8}{case.name:34}{before:5} {here:5}  {ratios[-1]:5.2f}"
    yield f"median of the ratios: {statistics.median(ratios):.2f}"


def _compare(pair: list[DeployedRig], idle: int, case: kernel_ns.Case) -> list[int]:
    samples: list[list[int]] = [[], []]
    for _ in range(ROUNDS):
        for loaded, taken in zip(pair, samples, strict=True):
            kernel_ns.prepare(loaded, case)
            taken.append(kernel_ns.sample(loaded.fd, idle, case.frame))
    return [round(statistics.median(taken)) for taken in samples]


if __name__ == "__main__":
    for line in (*starts(), "", "ns per packet: compiled beforehand, compiled here, ratio"):
        print(line, flush=True)  # noqa: T201 - what a benchmark is for
    for line in packets():
        print(line, flush=True)  # noqa: T201 - the same
