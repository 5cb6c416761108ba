# SPDX-License-Identifier: MIT
"""Scenes: what the kernel knows, and then frames and pauses, from any source of randomness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import frames
import packets as p
import table
from packet_model import scoped
from policy_model import NEVER, Grant, Policy, Tag

if TYPE_CHECKING:
    from random import Random

BEGIN_NS = 2**50
"""What the model's clock shows when a scene begins; players move it to where their own clock stands."""

SECOND = 1_000_000_000
IFINDEX = 1
"""The interface that packets of BPF_PROG_TEST_RUN come in on."""


@dataclass
class Scene:
    """A policy as it is at BEGIN_NS; then, in turn, frames (bytes) and pauses (nanoseconds)."""

    policy: Policy
    steps: list[bytes | int]


class Times:
    """Windows and pauses.

    A kernel's clock runs on while a scene is played, so there windows are odd and pauses even multiples of a
    second: none is decided by less than half of one. Where the clock stands still, all are a few nanoseconds.
    """

    def __init__(self, random: Random, *, exact: bool) -> None:
        """Take what is needed from `random`."""
        self._random = random
        self._exact = exact
        self._between = 0 if exact else SECOND // 2

    def window(self) -> int:
        """Return how long something holds."""
        number = self._random.randrange(8)
        return number if self._exact else (number // 2 * 2 + 1) * SECOND

    def pause(self) -> int:
        """Return how long nothing happens."""
        number = self._random.randrange(8)
        return number if self._exact else number // 2 * 2 * SECOND

    def grant(self) -> Grant:
        """Return a grant that has been silent for a while, or one whose `last` is ahead of the clock."""
        chance = self._random.random()
        last_ns = BEGIN_NS - self._between + self._random.choice((-1, -1, -1, 1)) * self.pause()
        idle_ns = NEVER if chance < 0.1 else min(self.window(), self.window())
        grace_ns = max(self.window(), self.window())
        if chance > 0.8:
            grace_ns = NEVER if chance > 0.9 else 0
        end_ns = BEGIN_NS + self._random.choice((-1, 1, 1, 1)) * self.window()
        return Grant(last_ns, idle_ns, grace_ns, self._random.choice((NEVER, end_ns)))

    def tag(self, name: bytes) -> Tag:
        """Return a tag that is, was or will be valid."""
        if self._random.random() < 0.5:
            return Tag(frames.key_of(name), 0, NEVER)
        before_ns = BEGIN_NS + self._random.choice((-1, -1, 1)) * self.window()
        return Tag(frames.key_of(name), before_ns, before_ns + self.window() + self.window())


def sources(random: Random) -> tuple[int, bytes]:
    """Return a family and an address of it, IPv4 as ::ffff:a.b.c.d."""
    if random.random() < 0.5:
        return 4, p.packed(random.choice(frames.SOURCES4))
    return 6, p.packed(random.choice(frames.SOURCES6))


def granted(random: Random, times: Times) -> dict[tuple[bytes, int, int], Grant]:
    """Return some grants."""
    grants = {}
    for _ in range(random.randrange(48)):
        _, address = sources(random)
        port = random.choice((table.TCP_PORT, table.UDP_PORT, table.BOTH_PORT, table.BOTH_PORT))
        source = scoped(address, random.choice((IFINDEX, IFINDEX, 7)))
        grants[source, random.choice((p.TCP, p.UDP)), port] = times.grant()
    return grants


def always_allowed(random: Random) -> set[tuple[int, bytes, int]]:
    """Return no prefix, mostly, or a few."""
    prefixes = set()
    for _ in range(random.choice((0, 0, 0, 1, 3))):
        family, address = sources(random)
        bits = random.choice((128, 127, 120, 104, 97, 96, 64, 10, 0))
        shift = 128 - max(bits, 96 if family == 4 else 0)
        prefix = (int.from_bytes(address, "big") >> shift << shift).to_bytes(16, "big")
        prefixes.add((family, prefix, 128 - shift))
    return prefixes


def policy(random: Random, times: Times) -> Policy:
    """Return what the kernel knows: the table's services, random grants, prefixes and tags."""
    made = Policy()
    made.services = {(p.TCP, table.TCP_PORT), (p.UDP, table.UDP_PORT)}
    made.services |= {(protocol, table.BOTH_PORT) for protocol in (p.TCP, p.UDP)}
    made.spa_ports = {table.SPA_PORT}
    if random.random() < 0.2:
        made.services |= {(p.TCP, table.SPA_PORT), (p.TCP, 0), (p.UDP, 65535)}
    made.log_only = random.random() < 0.1
    if random.random() < 0.7:
        made.token_ns, made.burst = times.window(), random.choice((1, 1, 2, 3))
    made.grants = granted(random, times)
    made.always_allow = always_allowed(random)
    made.tags = {name: times.tag(name) for name in frames.TAGS[: random.randrange(len(frames.TAGS)) + 1]}
    return made


def scene(random: Random, *, packets: int, exact: bool = False) -> Scene:
    """Return a scene of so many frames; `exact`: for players whose clock stands still."""
    times = Times(random, exact=exact)
    steps: list[bytes | int] = []
    for _ in range(packets):
        if random.random() < 0.03:
            steps.append(times.pause())
        steps.append(frames.frame(random))
    return Scene(policy(random, times), steps)
