# SPDX-License-Identifier: MIT
"""The SPA port: what is let through to the listener, and why the rest is not."""

from __future__ import annotations

import functools
import struct
from typing import TYPE_CHECKING

import packets as p
from knock import BODY, MAC_KEY, TAG, knock
from machine import NEVER, SECOND, now_ns
from packets import DSTOPTS, FRAGMENT, HOPOPTS, IPV4_MORE, IPV6_MORE, SYN
from table import ETHERNET, FAMILIES, SPA_PORT, Row, chained, frame

from spale_bpf import _abi
from spale_bpf._abi import Reason, Service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from machine import Machine
    from table import State

GOOD = knock()
OTHER_TAG = bytes(8)
NEAR_TAG = TAG[:3] + bytes(2) + TAG[5:]
"""It has the bit of TAG: the lowest 20 bits, or on the other kind of machine the last ones, are its own."""


def spa(family: int, payload: bytes = GOOD, *, length: int | None = None) -> bytes:
    """Return a frame with a datagram to the SPA port; `length` is what UDP claims."""
    return frame(family, p.udp(SPA_PORT, payload, length=length), p.UDP)


@functools.cache
def fresh(number: int) -> bytes:
    """Return a datagram that is like no other."""
    return knock(body=number.to_bytes(4, "big") + BODY[4:])


def tag_state(not_before_s: float, not_after_s: float, tag: bytes = TAG) -> State:
    """Return a state in which a tag is valid from and to so many seconds from now."""

    def state(loaded: Machine) -> None:
        clock_ns = now_ns()
        window = [max(0, clock_ns + int(second * SECOND)) for second in (not_before_s, not_after_s)]
        loaded.tag(tag, MAC_KEY, *window)

    return state


def bitless(loaded: Machine) -> None:
    """Put a tag where nobody looks."""
    loaded.put("spale_tags", OTHER_TAG, _abi.TAG.pack(*struct.unpack("<QQ", MAC_KEY), 0, NEVER))


def limited(burst: int, cost_ns: int = 3600 * SECOND) -> State:
    """Return a state with a rate limit."""

    def state(loaded: Machine) -> None:
        loaded.settings(cost_ns=cost_ns, burst=burst)

    return state


def form_rows() -> Iterator[Row]:
    """Return datagrams of every length and shape but the right one."""
    for family in FAMILIES:
        name = f"spa-ipv{family}"
        yield Row(f"{name}-good", spa(family), None)
        for length in (0, 1, 97, 127, 129, 1200):
            yield Row(f"{name}-{length}", spa(family, GOOD.ljust(length, b"x")[:length]), Reason.SPA_LENGTH)
        for length in (0, 8, 135, 137):
            yield Row(f"{name}-udp-says-{length}", spa(family, length=length), Reason.SPA_LENGTH)
        yield Row(f"{name}-more-than-udp-says", spa(family, GOOD + b"x", length=136), Reason.SPA_LENGTH)
        yield Row(f"{name}-cut", spa(family)[:-1], Reason.SPA_LENGTH, exact=True)
        yield Row(f"{name}-padded", spa(family) + bytes(6), None)
        yield Row(f"{name}-tcp", frame(family, p.tcp(SPA_PORT, SYN), p.TCP), None)
        both = _serving(Service.SPA | Service.TCP | Service.UDP)
        yield Row(
            f"{name}-tcp-protected", frame(family, p.tcp(SPA_PORT, SYN), p.TCP), Reason.NO_GRANT, (both,)
        )
        yield Row(f"{name}-udp-protected", spa(family), None, (both,))
    packet = p.ipv4(p.udp(SPA_PORT, GOOD), p.UDP)
    yield Row(
        "spa-vlan", p.ethernet(packet, p.ETH_IPV4, tags=(p.ETH_8021AD, p.ETH_8021Q)), None, how=ETHERNET
    )
    for length in (127, 129):
        lying = p.ipv4(p.udp(SPA_PORT, GOOD), p.UDP, total_length=28 + length)
        yield Row(f"spa-ipv4-says-{length}", p.ethernet(lying, p.ETH_IPV4), Reason.SPA_LENGTH)
        lying = p.ipv6(p.udp(SPA_PORT, GOOD), p.UDP, payload_length=8 + length)
        yield Row(f"spa-ipv6-says-{length}", p.ethernet(lying, p.ETH_IPV6), Reason.SPA_LENGTH)


def _serving(service: Service) -> State:
    def state(loaded: Machine) -> None:
        loaded.service(SPA_PORT, service)

    return state


def header_rows() -> Iterator[Row]:
    """Return the right datagram behind options, extension headers and in fragments."""
    datagram = p.udp(SPA_PORT, GOOD)
    options = p.ipv4(datagram, p.UDP, options=b"\x01" * 4)
    yield Row("spa-options", p.ethernet(options, p.ETH_IPV4), Reason.SPA_OPTIONS)
    for options_bytes in (b"", b"\x01" * 4):
        first = p.ipv4(datagram, p.UDP, fragment=IPV4_MORE, options=options_bytes)
        name = f"spa-first-fragment-{len(options_bytes)}"
        yield Row(name, p.ethernet(first, p.ETH_IPV4), Reason.SPA_FRAGMENT)
    for kind in (HOPOPTS, DSTOPTS, p.ROUTING, p.AH):
        yield Row(f"spa-extension-{kind}", chained(datagram, p.UDP, kind), Reason.SPA_OPTIONS)
    for field in (0, IPV6_MORE):
        packet = chained(datagram, p.UDP, (FRAGMENT, field))
        yield Row(f"spa-fragment-{field}", packet, Reason.SPA_FRAGMENT)


def tag_rows() -> Iterator[Row]:
    """Return tags that are not known, not yet or no longer valid; then macs."""
    for family in FAMILIES:
        name = f"spa-ipv{family}"
        yield Row(f"{name}-unknown", spa(family, knock(tag=OTHER_TAG)), Reason.UNKNOWN_TAG)
        yield Row(f"{name}-unknown-with-a-bit", spa(family, knock(tag=NEAR_TAG)), Reason.UNKNOWN_TAG)
        near = (tag_state(-5, 60, NEAR_TAG),)
        yield Row(f"{name}-two-share-a-bit", spa(family, knock(tag=NEAR_TAG)), None, near)
        yield Row(
            f"{name}-without-its-bit", spa(family, knock(tag=OTHER_TAG)), Reason.UNKNOWN_TAG, (bitless,)
        )
        yield Row(f"{name}-early", spa(family), Reason.STALE_TAG, (tag_state(60, 90),))
        yield Row(f"{name}-late", spa(family), Reason.STALE_TAG, (tag_state(-5, -1),))
        yield Row(f"{name}-valid", spa(family), None, (tag_state(-5, 60),))
        late_and_wrong = spa(family, TAG + bytes(120))
        yield Row(f"{name}-late-and-wrong", late_and_wrong, Reason.STALE_TAG, (tag_state(-5, -1),))
        wrong_key = spa(family, knock(mac_key=bytes(16)))
        yield Row(f"{name}-wrong-key", wrong_key, Reason.BAD_MAC)
        second = (tag_state(-5, 60, OTHER_TAG),)
        yield Row(f"{name}-second-tag", spa(family, knock(tag=OTHER_TAG)), None, second)


def flipped_rows() -> Iterator[Row]:
    """Return the right datagram with one byte changed, at each of its 128 places."""
    for place in range(len(GOOD)):
        flipped = GOOD[:place] + bytes([GOOD[place] ^ 0x01]) + GOOD[place + 1 :]
        reason = Reason.UNKNOWN_TAG if place < len(TAG) else Reason.BAD_MAC
        family = 6 if place % 2 else 4
        yield Row(f"spa-flipped-{place}", spa(family, flipped), reason)


def spending_rows() -> Iterator[Row]:
    """Return what passes once only, and what only so often."""
    for family in FAMILIES:
        name = f"spa-ipv{family}"
        good = spa(family)
        yield Row(f"{name}-replay", good, Reason.REPLAY, first=(good,))
        yield Row(f"{name}-replay-from-other-family", spa(10 - family), Reason.REPLAY, first=(good,))
        yield Row(f"{name}-fresh", spa(family, fresh(1)), None, first=(good,))
        for burst in (1, 2, 5):
            spent = tuple(spa(family, fresh(number)) for number in range(burst))
            yield Row(
                f"{name}-burst-{burst}", spa(family, fresh(9)), Reason.RATE_LIMITED, (limited(burst),), spent
            )
        once = (limited(1),)
        yield Row(f"{name}-replay-before-rate", good, Reason.REPLAY, once, (good,))
        unlimited = tuple(spa(family, fresh(number)) for number in range(20))
        yield Row(f"{name}-no-limit", good, None, (), unlimited)
        grown = (limited(1, cost_ns=1),)
        yield Row(f"{name}-grown-back", good, None, grown, unlimited)
        yield Row(f"{name}-other-family-has-its-own", spa(10 - family), None, once, (spa(family, fresh(1)),))
    once = (limited(1),)
    for source, reason in ((p.OTHER6, Reason.RATE_LIMITED), ("2001:db8:86dd:1::2", None)):
        packet = p.ethernet(p.ipv6(p.udp(SPA_PORT, GOOD), p.UDP, source=source), p.ETH_IPV6)
        yield Row(f"spa-bucket-{source}", packet, reason, once, (spa(6, fresh(1)),))
    packet = p.ethernet(p.ipv4(p.udp(SPA_PORT, GOOD), p.UDP, source=p.OTHER4), p.ETH_IPV4)
    yield Row("spa-bucket-other-ipv4", packet, None, once, (spa(4, fresh(1)),))


ROWS = (*form_rows(), *header_rows(), *tag_rows(), *flipped_rows(), *spending_rows())
