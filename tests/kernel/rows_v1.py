# SPDX-License-Identifier: MIT
"""Version 1 of the datagram at the SPA port: its length where it is on, its tag, a bucket for each tag."""

from __future__ import annotations

from typing import TYPE_CHECKING

import packets as p
from knock import MAC_KEY, knock
from machine import NEVER, SECOND, now_ns
from rows_spa import spa
from table import FAMILIES, SPA_PORT, Row, chained

from spale_bpf import _abi
from spale_bpf._abi import Flag, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from machine import Machine
    from table import State

OLD_TAG = bytes.fromhex("76312d636c69656e")
OTHER_TAG = OLD_TAG[:-1] + b"!"
REST = bytes((5 * place + 1) % 256 for place in range(_abi.SPA_V1_LEN - len(OLD_TAG)))
GOOD = OLD_TAG + REST


def state(burst: int = 0, cost_ns: int = 3600 * SECOND) -> State:
    """Return a state in which version 1 is on and two of its tags are known; `burst` 0: without a limit."""

    def made(loaded: Machine) -> None:
        loaded.settings(Flag.V1, cost_ns=cost_ns if burst else 0, burst=burst)
        loaded.v1_tag(OLD_TAG, 0, NEVER)
        loaded.v1_tag(OTHER_TAG, 0, NEVER)

    return made


ON = (state(),)


def timed(not_before_s: int, not_after_s: int) -> State:
    """Return a state in which it is on, and a tag valid from and to so many seconds from now."""

    def made(loaded: Machine) -> None:
        window = [max(0, now_ns() + second * SECOND) for second in (not_before_s, not_after_s)]
        loaded.settings(Flag.V1)
        loaded.v1_tag(OLD_TAG, *window)

    return made


def off(loaded: Machine) -> None:
    """Know a tag of version 1 where that is off."""
    loaded.v1_tag(OLD_TAG, 0, NEVER)


def borrowed(loaded: Machine) -> None:
    """Know a tag in the other version only."""
    loaded.settings(Flag.V1)
    loaded.tag(OTHER_TAG, MAC_KEY, 0, NEVER)
    loaded.v1_tag(OLD_TAG, 0, NEVER)


def form_rows() -> Iterator[Row]:
    """Return its length and lengths beside it, on and off."""
    for family in FAMILIES:
        name = f"v1-ipv{family}"
        yield Row(f"{name}-good", spa(family, GOOD), None, ON)
        yield Row(f"{name}-off", spa(family, GOOD), Reason.SPA_LENGTH, (off,))
        yield Row(f"{name}-v2-beside-it", spa(family), None, ON)
        for length in (0, 8, 96, 98, 127, 129):
            payload = GOOD.ljust(length, b"x")[:length]
            yield Row(f"{name}-{length}", spa(family, payload), Reason.SPA_LENGTH, ON)
        for length in (0, 104, 106, 136):
            lying = spa(family, GOOD, length=length)
            yield Row(f"{name}-udp-says-{length}", lying, Reason.SPA_LENGTH, ON)
        yield Row(f"{name}-more-than-udp-says", spa(family, GOOD + b"x", length=105), Reason.SPA_LENGTH, ON)
        yield Row(f"{name}-cut", spa(family, GOOD)[:-1], Reason.SPA_LENGTH, ON, exact=True)
        yield Row(f"{name}-padded", spa(family, GOOD) + bytes(6), None, ON)
    packet = p.ipv4(p.udp(SPA_PORT, GOOD), p.UDP, options=b"\x01" * 4)
    yield Row("v1-options", p.ethernet(packet, p.ETH_IPV4), Reason.SPA_OPTIONS, ON)
    packet = chained(p.udp(SPA_PORT, GOOD), p.UDP, p.HOPOPTS)
    yield Row("v1-extension", packet, Reason.SPA_OPTIONS, ON)
    packet = chained(p.udp(SPA_PORT, GOOD), p.UDP, (p.FRAGMENT, 0))
    yield Row("v1-fragment", packet, Reason.SPA_FRAGMENT, ON)


def tag_rows() -> Iterator[Row]:
    """Return tags that are unknown, of the other version, not yet or no longer valid."""
    for family in FAMILIES:
        name = f"v1-ipv{family}"
        yield Row(f"{name}-unknown", spa(family, bytes(8) + REST), Reason.UNKNOWN_TAG, ON)
        yield Row(f"{name}-tag-of-v2", spa(family, OTHER_TAG + REST), Reason.UNKNOWN_TAG, (borrowed,))
        unsigned = spa(family, knock(tag=OLD_TAG))
        yield Row(f"{name}-tag-in-v2", unsigned, Reason.UNKNOWN_TAG, (borrowed,))
        yield Row(f"{name}-early", spa(family, GOOD), Reason.STALE_TAG, (timed(60, 90),))
        yield Row(f"{name}-late", spa(family, GOOD), Reason.STALE_TAG, (timed(-5, -1),))
        yield Row(f"{name}-valid", spa(family, GOOD), None, (timed(-5, 60),))
        other = GOOD[:8] + GOOD[:7:-1]
        yield Row(f"{name}-anything-behind-the-tag", spa(family, other), None, ON)


def spending_rows() -> Iterator[Row]:
    """Return what passes only so often, each tag's from each source by itself."""
    for family in FAMILIES:
        name = f"v1-ipv{family}"
        good = spa(family, GOOD)
        yield Row(f"{name}-no-limit", good, None, ON, (good,) * 20)
        for burst in (1, 2, 5):
            yield Row(f"{name}-burst-{burst}", good, Reason.RATE_LIMITED, (state(burst),), (good,) * burst)
        once = (state(1),)
        yield Row(f"{name}-grown-back", good, None, (state(1, cost_ns=1),), (good,) * 20)
        yield Row(f"{name}-other-tag", spa(family, OTHER_TAG + REST), None, once, (good,))
        yield Row(f"{name}-other-family", spa(10 - family, GOOD), None, once, (good,))
        yield Row(f"{name}-v2-is-not-spent", spa(family), None, once, (good,))
        yield Row(f"{name}-v2-spends-nothing", good, None, once, (spa(family),))
    once, first = (state(1),), (spa(6, GOOD),)
    for source, reason in ((p.OTHER6, Reason.RATE_LIMITED), ("2001:db8:86dd:1::2", None)):
        packet = p.ethernet(p.ipv6(p.udp(SPA_PORT, GOOD), p.UDP, source=source), p.ETH_IPV6)
        yield Row(f"v1-bucket-{source}", packet, reason, once, first)
    packet = p.ethernet(p.ipv4(p.udp(SPA_PORT, GOOD), p.UDP, source=p.OTHER4), p.ETH_IPV4)
    yield Row("v1-bucket-other-ipv4", packet, None, once, (spa(4, GOOD),))


ROWS = (*form_rows(), *tag_rows(), *spending_rows())
