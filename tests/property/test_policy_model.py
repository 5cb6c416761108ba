# SPDX-License-Identifier: MIT
"""The programs do what the reference model does: one verdict and one reason, whatever comes.

SPALE_PACKETS says how many packets the volume tests play, SPALE_SEED with which they begin.
"""

from __future__ import annotations

import ast
import itertools
import os
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import frames
import packet_model
import policy_model
import pytest
import scenes
from hypothesis import given, settings
from hypothesis import strategies as st
from machine import Entry
from players import Kernel, Native
from scenes import Scene
from troupe import DifferenceError, Troupe

from spale_bpf._abi import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKETS = int(os.environ.get("SPALE_PACKETS", "20000"))
SEED = int(os.environ.get("SPALE_SEED", "1"))
SHARDS = 2
PACKETS_PER_SCENE = 100

RANDOMS = st.randoms(use_true_random=False)

NOT_MODELLED = {"INTERNAL"}
"""A reason that no scene can meet: broken maps (tests/kernel has them)."""

CELLS = set(
    itertools.product(
        ("LIVE", "GRACE", "DEAD", "none"), ("NEW", "END", "OTHER", "BAD"), ("none", "OPEN", "CLOSING")
    )
)
"""The table of spec.md."""

MODEL_LINES = 250
"""The policy has fewer, all told; and fewer are code in it and in what reads packets for it."""


@pytest.fixture(scope="module")
def troupes(one_cpu: None) -> Iterator[list[Troupe]]:
    """Return everybody: the three programs in the kernel, and the headers in user space."""
    del one_cpu
    with ExitStack() as stack:
        xdp, tc, l3 = (Kernel(entry) for entry in (Entry.XDP, Entry.TC_ETH, Entry.TC_L3))
        for kernel in (xdp, tc, l3):
            stack.enter_context(kernel.rig)
        yield [
            Troupe([xdp, Native(ethernet=True)], ethernet=True),
            Troupe([tc], ethernet=True),
            Troupe([l3, Native(ethernet=False)], ethernet=False),
        ]


@pytest.fixture(scope="module")
def natives() -> list[Troupe]:
    """Return those that need no kernel."""
    return [Troupe([Native(ethernet=ethernet)], ethernet=ethernet) for ethernet in (True, False)]


def play(troupes: list[Troupe], scene: Scene) -> int:
    """Play a scene to all; return how many packets the least busy troupe has compared."""
    return min(troupe.play(scene) for troupe in troupes)


def play_many(troupes: list[Troupe], shard: int, *, exact: bool) -> None:
    """Play a shard's part of all the packets, one scene after the other."""
    played, number = 0, 0
    while played < PACKETS // SHARDS:
        number += 1
        seed = f"{SEED} {shard} {number}"
        scene = scenes.scene(Random(seed), packets=PACKETS_PER_SCENE, exact=exact)  # noqa: S311 - a test's
        try:
            played += play(troupes, scene)
        except DifferenceError as error:
            error.add_note(f"in the scene of Random({seed!r})")
            raise
    met = {reason.name for troupe in troupes for reason in troupe.reasons}
    assert met == {reason.name for reason in Reason} - NOT_MODELLED
    assert {cell for troupe in troupes for cell in troupe.cells} == CELLS


@pytest.mark.kernel
@pytest.mark.timeout(900)
@pytest.mark.parametrize("shard", range(SHARDS))
def test_volume(troupes: list[Troupe], shard: int) -> None:
    """Many packets, of which some are well-formed, meet the same in every program and in the model."""
    play_many(troupes, shard, exact=False)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("shard", range(SHARDS))
def test_volume_to_the_nanosecond(natives: list[Troupe], shard: int) -> None:
    """The same for the headers in user space, where every window ends exactly when a packet comes."""
    play_many(natives, shard, exact=True)


@pytest.mark.kernel
@given(random=RANDOMS)
@settings(max_examples=200)
def test_any_scene(troupes: list[Troupe], random: Random) -> None:
    """Whatever scene hypothesis thinks of; it finds the smallest in which somebody differs."""
    play(troupes, scenes.scene(random, packets=5))


@given(random=RANDOMS)
@settings(max_examples=200)
def test_any_exact_scene(natives: list[Troupe], random: Random) -> None:
    """The same, to the nanosecond."""
    play(natives, scenes.scene(random, packets=5, exact=True))


@pytest.mark.kernel
@pytest.mark.parametrize("number", range(12))
def test_each_length_and_each_byte(troupes: list[Troupe], number: int) -> None:
    """A packet cut at each length, and with each byte changed, meets the same everywhere."""
    random = Random(f"{SEED} {number}")  # noqa: S311 - a test's
    frame = frames.whole(random)[:300]
    cut: list[bytes | int] = [frame[:length] for length in range(len(frame))]
    changed = [
        frame[:place] + bytes([frame[place] ^ mask]) + frame[place + 1 :]
        for place in range(len(frame))
        for mask in (0x01, 0x20, 0xFF)
    ]
    play(troupes, Scene(scenes.scene(random, packets=0).policy, [*cut, *changed]))


def code_lines(source: str) -> int:
    """Return how many lines are neither empty nor a comment nor a docstring's."""
    words = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            words |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(source.splitlines(), 1)
    return sum(
        bool(line.strip()) and not line.strip().startswith("#") and at not in words for at, line in lines
    )


def test_the_model_can_be_read() -> None:
    """What everything is held against stays short."""
    policy, packet = (Path(module.__file__).read_text() for module in (policy_model, packet_model))
    assert len(policy.splitlines()) < MODEL_LINES
    assert code_lines(policy) + code_lines(packet) < MODEL_LINES
