# SPDX-License-Identifier: MIT
"""Scenes: what the kernel knows, and then frames, pauses and changes, from any source of randomness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import frames
import packets as p
import table
from packet_model import TCP, scoped
from policy_model import (
    CLOSING_NS,
    KNOCK,
    KNOCK_V1,
    NEVER,
    SESSIONS_PER_PAIR,
    UDP_HEADER,
    Grant,
    Pair,
    Policy,
    Session,
    Tag,
)

from spale_bpf._abi import SessionState

if TYPE_CHECKING:
    from random import Random

    from policy_model import Four

BEGIN_NS = 2**50
"""What the model's clock shows when a scene begins; players move it to where their own clock stands."""

BEAT = CLOSING_NS // 15
"""Half of the shortest pause of a scene that is played to a kernel, see Times."""

IFINDEX = 1
"""The interface that packets of BPF_PROG_TEST_RUN come in on."""

MAX_SESSIONS, MAX_COUNTS = 12, 6
"""How much the maps hold."""

LOG_ONLY = 0.1
"""How often nothing is dropped."""


class Knock(NamedTuple):
    """A step of a scene: a grant is installed, or another one in its place."""

    pair: Pair
    grant: Grant


class Settings(NamedTuple):
    """A step of a scene: other settings."""

    log_only: bool
    session_ns: int


Step = bytes | int | Knock | Settings
"""A frame, a pause in nanoseconds, or a change."""


@dataclass
class Scene:
    """A policy as it is at BEGIN_NS, and what happens then."""

    policy: Policy
    steps: list[Step]


class Times:
    """Windows and pauses.

    A kernel's clock runs on while a scene is played, so there windows are odd and pauses even multiples of a
    beat, as CLOSING's window is its fifteenfold: none is decided by less than half of one. Where the clock
    stands still, all but CLOSING's are a few nanoseconds.
    """

    def __init__(self, random: Random, *, exact: bool) -> None:
        """Take what is needed from `random`."""
        self._random = random
        self._exact = exact
        self._between = 0 if exact else BEAT // 2

    def window(self) -> int:
        """Return how long something holds."""
        number = self._random.randrange(8)
        return number if self._exact else (number // 2 * 2 + 1) * BEAT

    def pause(self) -> int:
        """Return how long nothing happens."""
        number = self._random.randrange(8)
        return number if self._exact else number // 2 * 2 * BEAT

    def long_pause(self) -> int:
        """Return a pause that is about as long as CLOSING lasts."""
        if self._exact:
            return CLOSING_NS + self._random.randrange(-3, 4)
        return CLOSING_NS + self._random.choice((-1, 1)) * BEAT

    def session_sec(self) -> int:
        """Return how long a session may be silent, or 0: none is tracked."""
        return self._random.choice((0, self.window(), self.window(), self.window(), NEVER))

    def grant(self, now_ns: int) -> Grant:
        """Return a grant that has been silent for a while, or one whose `last` is ahead of the clock."""
        chance = self._random.random()
        last_ns = now_ns - self._between + self._random.choice((-1, -1, -1, 1)) * self.pause()
        idle_ns = NEVER if chance < 0.1 else min(self.window() for _ in range(4))
        grace_ns = max(self.window(), self.window())
        if chance > 0.6:
            grace_ns = 0 if chance > 0.9 else NEVER
        end_ns = now_ns + self._random.choice((-1, 1, 1, 1)) * self.window()
        return Grant(last_ns, idle_ns, grace_ns, self._random.choice((NEVER, NEVER, end_ns)))

    def session(self) -> Session:
        """Return a session that has been silent for a while, or one whose `last` is ahead of the clock."""
        state = self._random.choice((SessionState.OPEN, SessionState.CLOSING))
        silence = self.pause() if state is SessionState.OPEN else self._random.choice((0, self.long_pause()))
        last_ns = BEGIN_NS - self._between + self._random.choice((-1, -1, -1, 1)) * silence
        return Session(self._random.choice((0, last_ns - self.pause())), last_ns, state)

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


def pair(random: Random) -> Pair:
    """Return a source and service."""
    _, address = sources(random)
    port = random.choice((table.TCP_PORT, table.UDP_PORT, table.BOTH_PORT, table.BOTH_PORT))
    return scoped(address, random.choice((IFINDEX, IFINDEX, 7))), random.choice((p.TCP, p.UDP)), port


def connection(random: Random) -> Four:
    """Return a TCP connection."""
    family = random.choice((4, 6))
    few = random.choice((frames.TALKERS[family], {4: frames.SOURCES4, 6: frames.SOURCES6}[family]))
    destination = random.choice({4: frames.DESTINATIONS4, 6: frames.DESTINATIONS6}[family])
    source = scoped(p.packed(random.choice(few)), IFINDEX)
    peer = source, TCP, random.choice(frames.TALKED_TO)
    return peer, p.packed(destination), random.choice(frames.SOURCE_PORTS)


def counted(random: Random, sessions: dict[Four, Session]) -> dict[Pair, int]:
    """Return how many sessions the pairs hold, or what somebody has counted there, right or not."""
    held: dict[Pair, int] = {}
    for pair, *_ in sessions:
        if pair in held or len(held) < MAX_COUNTS:
            held[pair] = held.get(pair, 0) + 1
    for pair in held:
        if random.random() < 0.2:
            held[pair] = SESSIONS_PER_PAIR + random.randrange(-2, 2)
    return held


def always_allowed(random: Random) -> set[tuple[int, bytes, int]]:
    """Return no prefix, mostly, or a few."""
    prefixes = set()
    for _ in range(random.choice((0, 0, 0, 0, 0, 0, 1, 3))):
        family, address = sources(random)
        bits = random.choice((128, 127, 120, 104, 97, 96, 64, 10, 0))
        shift = 128 - max(bits, 96 if family == 4 else 0)
        prefix = (int.from_bytes(address, "big") >> shift << shift).to_bytes(16, "big")
        prefixes.add((family, prefix, 128 - shift))
    return prefixes


def policy(random: Random, times: Times) -> Policy:
    """Return what the kernel knows: the table's services, random grants, sessions, prefixes and tags."""
    made = Policy(max_sessions=MAX_SESSIONS, max_counts=MAX_COUNTS)
    made.services = {(p.TCP, table.TCP_PORT), (p.UDP, table.UDP_PORT)}
    made.services |= {(protocol, table.BOTH_PORT) for protocol in (p.TCP, p.UDP)}
    made.spa_ports = {table.SPA_PORT}
    if random.random() < 0.2:
        made.services |= {(p.TCP, table.SPA_PORT), (p.TCP, 0), (p.UDP, 65535)}
    made.log_only = random.random() < LOG_ONLY
    if random.random() < 0.7:
        made.token_ns, made.burst = times.window(), random.choice((1, 1, 1, 2, 3))
    made.session_ns = times.session_sec()
    for _ in range(random.randrange(40)):
        made.grants[pair(random)] = times.grant(BEGIN_NS)
    for _ in range(random.randrange(MAX_SESSIONS + 1)):
        key = connection(random)
        made.sessions[key] = times.session()
        if random.random() < 0.5:
            made.grants.setdefault(key[0], times.grant(BEGIN_NS))
    made.counts = counted(random, made.sessions)
    made.always_allow = always_allowed(random)
    names = frames.TAGS[: random.randrange(len(frames.TAGS)) + 1]
    made.tags = {(KNOCK, name): times.tag(name) for name in names}
    if random.random() < 0.5:
        made.knocks.add(UDP_HEADER + KNOCK_V1)
        made.tags |= {(KNOCK_V1, name): times.tag(name) for name in frames.TAGS if random.random() < 0.5}
    return made


def scene(random: Random, *, packets: int, exact: bool = False) -> Scene:
    """Return a scene of so many frames; `exact`: for players whose clock stands still."""
    times, now_ns = Times(random, exact=exact), BEGIN_NS
    steps: list[Step] = []
    for _ in range(packets):
        chance = random.random()
        if chance < 0.03:
            steps.append(times.pause() if chance < 0.025 else times.long_pause())
            now_ns += steps[-1]
        elif chance < 0.06:
            where = connection(random)[0] if chance < 0.05 else pair(random)
            steps.append(Knock(where, times.grant(now_ns)))
        elif chance < 0.07:
            steps.append(Settings(random.random() < LOG_ONLY, times.session_sec()))
        steps.append(frames.talk(random) if random.random() < 0.4 else frames.frame(random))
    return Scene(policy(random, times), steps)
