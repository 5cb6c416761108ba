# SPDX-License-Identifier: MIT
"""What a packet costs in the kernel: nanoseconds over a program of the same kind that does nothing.

BPF_PROG_TEST_RUN, the median of many rounds, in turns with that program, so that what else the machine does
meets both; the verdict is checked before. It can be run alone: ``.venv/bin/python tests/bench/kernel_ns.py``,
as root.
"""

from __future__ import annotations

import statistics
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

sys.path.append(str(Path(__file__).parents[1] / "kernel"))  # when it is run alone

import knock
import packets as p
import rig
import rows_spa
import rows_v1
from books import key_of
from coarse import DeployedRig
from machine import NEVER, SECOND, Entry, client, now_ns

from spale_bpf import _abi, libbpf
from spale_bpf._abi import Flag, Reason, Service, SessionState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rig import Rig

REPEATS = 200_000
ROUNDS = 45
DAY = 86400 * SECOND

PROTECTED, SPA, OPEN = 22, 55555, 8080
KINDS = {Entry.TC_ETH: "selftest_tc", Entry.XDP: "selftest_xdp"}


CLOCK = "for scale: one read of the clock"
"""32 to 34 on the machine for which the limits were set; more says that this one is slower now."""


class Limits(NamedTuple):
    """How many nanoseconds are wanted at most, at XDP and at TC."""

    xdp: int
    tc: int


UNPROTECTED = Limits(8, 12)
DROPPED = Limits(60, 60)
LIVE = Limits(85, 80)
ALLOWED = Limits(55, 55)
JUNK = Limits(35, 40)
WRONG_MAC = Limits(220, 220)


class Case(NamedTuple):
    """A packet with the reason it meets in a state that `prepare` makes; None: it passes."""

    name: str
    frame: bytes
    reason: Reason | None
    limits: Limits | None
    prepare: Callable[[Rig], None] = lambda _: None


class Cost(NamedTuple):
    """A measured case, in nanoseconds over the program that does nothing; and at most how many are wanted."""

    entry: Entry
    name: str
    ns: int
    at_most: int | None


def _protect(loaded: Rig) -> None:
    loaded.reset()
    loaded.settings(session_ns=DAY)
    loaded.service(PROTECTED, Service.TCP)
    loaded.service(SPA, Service.SPA)
    loaded.tag(knock.TAG, knock.MAC_KEY, 0, NEVER)


def _granting(family: int, end_ns: int = NEVER) -> Callable[[Rig], None]:
    def prepare(loaded: Rig) -> None:
        grant = _abi.Grant(now_ns(), 3600 * SECOND, 0, end_ns)
        loaded.grant(client(family), p.TCP, PROTECTED, grant)

    return prepare


def _tracking(family: int, *, dead: bool = False) -> Callable[[Rig], None]:
    def prepare(loaded: Rig) -> None:
        loaded.session(key_of(family), _abi.Session(now_ns(), now_ns(), SessionState.OPEN))
        if dead:
            _granting(family, end_ns=0)(loaded)

    return prepare


def _allowing(family: int) -> Callable[[Rig], None]:
    def prepare(loaded: Rig) -> None:
        loaded.settings(Flag.ALWAYS_ALLOW, session_ns=DAY)
        loaded.always_allow(family, client(family), 120)

    return prepare


def _old_clients(loaded: Rig) -> None:
    loaded.settings(Flag.V1, session_ns=DAY)
    loaded.v1_tag(rows_v1.OLD_TAG, 0, NEVER)


def cases() -> Iterator[Case]:
    """Return what is timed; a knock that passes is not, as the kernel takes it once."""
    junk = bytes(8) + bytes(_abi.SPA_LEN - 8)
    wrong_mac = knock.knock()[:8] + bytes(8) + knock.BODY
    for family in (4, 6):
        frame = _framing(family)
        ip = f"IPv{family}"
        yield Case(f"unprotected TCP, {ip}", frame(p.tcp(OPEN, p.ACK), p.TCP), None, UNPROTECTED)
        yield Case(f"unprotected UDP, {ip}", frame(p.udp(OPEN, bytes(64)), p.UDP), None, UNPROTECTED)
        syn = frame(p.tcp(PROTECTED, p.SYN), p.TCP)
        yield Case(f"SYN dropped, {ip}", syn, Reason.NO_GRANT, DROPPED)
        data = frame(p.tcp(PROTECTED, p.ACK, bytes(64)), p.TCP)
        yield Case(f"live grant, {ip}", data, None, LIVE, _granting(family))
        yield Case(f"always allowed, {ip}", syn, None, ALLOWED, _allowing(family))
        to_spa = frame(p.udp(SPA, junk), p.UDP)
        yield Case(f"junk at the SPA port, {ip}", to_spa, Reason.UNKNOWN_TAG, JUNK)
        to_spa = frame(p.udp(SPA, wrong_mac), p.UDP)
        yield Case(f"wrong mac, {ip}", to_spa, Reason.BAD_MAC, WRONG_MAC)
        to_spa = frame(p.udp(SPA, rows_spa.NEAR_TAG + junk[8:]), p.UDP)
        yield Case(f"junk with a tag's bit, {ip}", to_spa, Reason.UNKNOWN_TAG, None)
        to_spa = frame(p.udp(SPA, bytes(len(rows_v1.GOOD))), p.UDP)
        yield Case(f"junk of version 1, off, {ip}", to_spa, Reason.SPA_LENGTH, None)
        yield Case(f"junk of version 1, on, {ip}", to_spa, Reason.UNKNOWN_TAG, None, _old_clients)
        to_spa = frame(p.udp(SPA, rows_v1.GOOD), p.UDP)
        yield Case(f"version 1, no limit, {ip}", to_spa, None, None, _old_clients)
        yield Case(f"data dropped, {ip}", data, Reason.NO_GRANT, None)
        yield Case(f"session, no grant, {ip}", data, None, None, _tracking(family))
        yield Case(f"session, dead grant, {ip}", data, None, None, _tracking(family, dead=True))
        yield Case(f"SYN again, live grant, {ip}", syn, None, None, _granting(family))
    yield Case("ARP", p.ethernet(bytes(28), p.ETH_ARP), None, None)


def _framing(family: int) -> Callable[[bytes, int], bytes]:
    def frame(payload: bytes, protocol: int) -> bytes:
        if family == 4:
            return p.ethernet(p.ipv4(payload, protocol), p.ETH_IPV4)
        return p.ethernet(p.ipv6(payload, protocol), p.ETH_IPV6)

    return frame


def prepare(loaded: Rig, case: Case) -> None:
    """Make the state of a case; raise RuntimeError where the verdict is not the expected one."""
    _protect(loaded)
    case.prepare(loaded)
    outcome = loaded.run(case.frame)
    expected = (case.reason is None, [case.reason] if case.reason else [])
    if (outcome.passed, list(outcome.counted)) != expected:
        raise RuntimeError(f"{loaded.entry.name}, {case.name}: {outcome}")


def sample(fd: int, idle: int, frame: bytes) -> int:
    """Return the nanoseconds that a packet costs over a program that does nothing."""
    ours, nothing = (libbpf.prog_test_run(each, frame, REPEATS).duration_ns for each in (fd, idle))
    return ours - nothing


def measure() -> Iterator[Cost]:
    """Time every case, one after the other, again and again: a slow second of the machine meets all alike."""
    with ExitStack() as exits:
        content = (rig.BUILD / "spale_selftest.bpf.o").read_bytes()
        nothing = exits.enter_context(libbpf.Object.open(content, "selftest"))
        nothing.load()
        rigs = [
            (exits.enter_context(DeployedRig(entry)), nothing.program_fd(name))
            for entry, name in KINDS.items()
        ]
        timed = [(loaded, idle, case, list[int]()) for loaded, idle in rigs for case in cases()]
        clock, clocks = nothing.program_fd("selftest_clock"), list[int]()
        for _ in range(ROUNDS):
            clocks.append(sample(clock, rigs[0][1], timed[0][2].frame))
            for loaded, idle, case, samples in timed:
                prepare(loaded, case)
                samples.append(sample(loaded.fd, idle, case.frame))
        yield Cost(Entry.TC_ETH, CLOCK, round(statistics.median(clocks)), None)
        for loaded, _, case, samples in timed:
            at_most = getattr(case.limits, loaded.entry.value[0].removeprefix("spale_"), None)
            yield Cost(loaded.entry, case.name, round(statistics.median(samples)), at_most)


def report() -> Iterator[str]:
    """Return the lines of the report."""
    yield f"ns per packet over a no-op program (median of {ROUNDS} rounds, {REPEATS:,} repetitions each)"
    for cost in measure():
        over = cost.at_most is not None and cost.ns > cost.at_most
        limit = f"of {cost.at_most:3}" if cost.at_most else ""
        yield f"{cost.entry.name:8}{cost.name:34}{cost.ns:5} {limit}{'  MISSED' if over else ''}".rstrip()


if __name__ == "__main__":
    for line in report():
        print(line, flush=True)  # noqa: T201 - what a benchmark is for
