# SPDX-License-Identifier: MIT
"""What bcc compiles and what was compiled beforehand do the same, whatever comes.

Both are held against the model at once, packet by packet: verdict, reason, grants, sessions and counts.
SPALE_PACKETS and SPALE_SEED are as in test_policy_model.py; of its packets these are the share that costs
seconds.
"""

from __future__ import annotations

import os
from random import Random
from typing import TYPE_CHECKING

import pytest
import scenes
from compiled_rig import CompiledRig, demand_bcc
from machine import Entry
from players import Kernel, SmallRig
from troupe import Troupe

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKETS = int(os.environ.get("SPALE_PACKETS", "20000")) * 3 // 20
SEED = int(os.environ.get("SPALE_SEED", "1"))
PACKETS_PER_SCENE = 100


class SmallCompiledRig(SmallRig, CompiledRig):
    """A compiled program with little room for sessions."""


@pytest.fixture(scope="module", params=list(Entry), ids=lambda entry: entry.name.lower())
def pair(request: pytest.FixtureRequest, one_cpu: None) -> Iterator[Troupe]:
    """Return a program in both its forms, each in turn."""
    del one_cpu
    demand_bcc()
    prebuilt, compiled = Kernel(request.param), Kernel(request.param, SmallCompiledRig)
    with prebuilt.rig, compiled.rig:
        yield Troupe([prebuilt, compiled], ethernet=request.param.ethernet)


@pytest.mark.kernel
@pytest.mark.timeout(900)
def test_random_packets(pair: Troupe) -> None:
    """Random packets and grants meet the same in both forms of the program: 3,000 unless told otherwise."""
    played, number = 0, 0
    while played < PACKETS:
        number += 1
        played += pair.play(scenes.scene(Random(f"{SEED} bcc {number}"), packets=PACKETS_PER_SCENE))  # noqa: S311 - a test's
    assert len(pair.cells) > PACKETS_PER_SCENE // 4
