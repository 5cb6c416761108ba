# SPDX-License-Identifier: MIT
"""IPv6: extension headers, alone and in chains, and fragments."""

from __future__ import annotations

import itertools
import struct
from ipaddress import IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING

import packets as p
from frame_table import (
    COMPLAINED,
    EVERYWHERE,
    IGNORED,
    NOWHERE,
    PROTOCOLS,
    TAKEN,
    Fate,
    Row,
    both,
    chained,
    framed,
    packet,
    plain,
    segment,
    to,
)
from listeners import OPEN
from packets import ACK, AH, DSTOPTS, FRAGMENT, HOPOPTS, IPV6_MORE, ROUTING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ways import Way

SERVER = IPv6Address("2001:db8::1").packed
ATOMIC = (FRAGMENT, 0)
EIGHT = (HOPOPTS, DSTOPTS, ROUTING, ATOMIC, DSTOPTS, ROUTING, (DSTOPTS, 24), DSTOPTS)
TRANSPORT_BYTES = {p.TCP: 20, p.UDP: 8}

GOOD_CHAINS = {
    "hop": (HOPOPTS,),
    "hop-64": ((HOPOPTS, 64),),
    "hop-1024": ((HOPOPTS, 1024),),
    "dst": (DSTOPTS,),
    "dst-1024": ((DSTOPTS, 1024),),
    "routing": (ROUTING,),
    "routing-1024": ((ROUTING, 1024),),
    "atomic": (ATOMIC,),
    "hop-dst": (HOPOPTS, DSTOPTS),
    "dst-routing-dst": (DSTOPTS, ROUTING, DSTOPTS),
    "atomic-dst": (ATOMIC, DSTOPTS),
    "hop-atomic-dst": (HOPOPTS, ATOMIC, DSTOPTS),
    "dst-7": (DSTOPTS,) * 7,
    "dst-8": (DSTOPTS,) * 8,
    "dst-8-long": ((DSTOPTS, 128),) * 8,
    "eight": EIGHT,
}

# AH, for which the server has no security association; hop-by-hop options elsewhere than in the first place;
# a fragment header behind another.
BAD_CHAINS = {
    "ah": (AH,),
    "hop-ah": (HOPOPTS, AH),
    "ah-1028": ((AH, 1028),),
    "dst-hop": (DSTOPTS, HOPOPTS),
    "hop-hop": (HOPOPTS, HOPOPTS),
    "atomic-atomic": (ATOMIC, ATOMIC),
}
LONG_CHAINS = {
    "dst-9": (DSTOPTS,) * 9,
    "nine": (*EIGHT, DSTOPTS),
    "dst-12": (DSTOPTS,) * 12,
}


def option(kind: int, data: bytes = b"") -> bytes:
    """Return one option (RFC 8200 section 4.2)."""
    return bytes((kind, len(data))) + data


OPTIONS = {
    "pad1": (bytes(6), TAKEN),
    "padn": (option(1, bytes(4)), TAKEN),
    "router-alert": (option(5, bytes(2)) + option(1), TAKEN),
    "unknown-skip": (option(0x1E, bytes(4)), TAKEN),
    "unknown-discard": (option(0x5E, bytes(4)), IGNORED),
    "unknown-complain": (option(0x9E, bytes(4)), COMPLAINED),
    "beyond": (option(0x1E, bytes(9))[:6], IGNORED),
}
SMALL_JUMBO = option(0xC2, struct.pack(">I", 100))


def routing(kind: int, left: int, *hops: bytes) -> bytes:
    """Return a routing header behind its first two bytes (RFC 8754 for type 4, else RFC 8200)."""
    last = len(hops) - 1 if kind == 4 else 0
    return bytes((kind, left, last, 0, 0, 0)) + b"".join(hops)


# Told to take source routes and segments (lane.GENEROUS); type 3 is Linux 5.7's, if built in.
TYPE3_DONE = TAKEN if Path("/proc/sys/net/ipv6/conf/all/rpl_seg_enabled").exists() else IGNORED
ROUTES = {
    "type0-done": (routing(0, 0, SERVER), TAKEN),
    "type0-left": (routing(0, 1, SERVER), COMPLAINED),
    "type2-done": (routing(2, 0, SERVER), TAKEN),
    "type2-left": (routing(2, 1, SERVER), COMPLAINED),
    "type3-done": (routing(3, 0, SERVER), TYPE3_DONE),
    "type4-done": (routing(4, 0, SERVER), TAKEN),
    "type4-to-itself": (routing(4, 1, SERVER, SERVER), TAKEN),
}


def headed(way: Way, kind: int, body: bytes) -> bytes:
    """Return a probe with one extension header made of `body` behind its first two bytes."""
    header = bytes((way.protocol, (len(body) + 2) // 8 - 1)) + body
    return framed(way, header + segment(way), kind)


def cut_up(way: Way, data: bytes, following: int, *cuts: int, before: tuple[int, ...] = ()) -> list[bytes]:
    """Return `data`, which begins with a header `following`, as fragments; `before` are headers of each."""
    return [
        framed(way, *p.extended(data[start:end], following, *before, (FRAGMENT, start | more)))
        for start, end in itertools.pairwise((0, *cuts, len(data)))
        for more in (IPV6_MORE if end < len(data) else 0,)
    ]


def fragments(way: Way, *cuts: int, before: tuple[int, ...] = ()) -> list[bytes]:
    """Return a probe cut into fragments at these places, each a multiple of 8."""
    return cut_up(way, segment(way), way.protocol, *cuts, before=before)


def _doubled(way: Way) -> list[bytes]:
    first, last = fragments(way, 24)
    return [first, first, last]


def _behind_dstopts(way: Way, cut: int, before: tuple[int, ...] = ()) -> list[bytes]:
    data, following = p.extended(segment(way), way.protocol, (DSTOPTS, 16))
    return cut_up(way, data, following, cut, before=before)


def _nested(way: Way, inner: int, outer: int) -> list[bytes]:
    """Return a first fragment that is itself in fragments, and the rest of the probe."""
    data = segment(way)
    first = p.extension(FRAGMENT, way.protocol, fragment=IPV6_MORE) + data[:inner]
    rest = p.extended(data[inner:], way.protocol, (FRAGMENT, inner))
    return [*cut_up(way, first, FRAGMENT, outer), framed(way, *rest)]


def _decoy(way: Way, *, ports_hidden: bool) -> list[bytes]:
    """Return fragments whose first has harmless TCP flags, or an open port, behind the end that it claims."""
    data, following = segment(way), way.protocol
    harmless = segment(to(way, OPEN), ACK)
    if ports_hidden:
        data, following = p.extended(data, following, DSTOPTS)
        harmless = data[:8] + harmless
    else:
        harmless = data[:8] + harmless[8:]
    first = p.extension(FRAGMENT, following, fragment=IPV6_MORE) + harmless
    claimed = 8 + 8
    last = p.extension(FRAGMENT, following, fragment=8) + data[8:]
    return [framed(way, first, FRAGMENT, payload_length=claimed), framed(way, last, FRAGMENT)]


def _as_ipv4(way: Way) -> list[bytes]:
    return [p.ethernet(packet(way, segment(way)), p.ETH_IPV4)]


def chain_rows() -> Iterator[Row]:
    """Return chains of headers."""
    for chains, fate, unread in (
        (GOOD_CHAINS, TAKEN, NOWHERE),
        (BAD_CHAINS, COMPLAINED, NOWHERE),
        (LONG_CHAINS, TAKEN, EVERYWHERE),
    ):
        for name, kinds in chains.items():
            yield from both(
                name, 6, lambda way, k=kinds: [chained(way, segment(way), *k)], fate, unread=unread
            )


def header_rows() -> Iterator[Row]:
    """Return headers by their content."""
    for name, (body, fate) in OPTIONS.items():
        yield from both(f"hop-{name}", 6, lambda way, b=body: [headed(way, HOPOPTS, b)], fate)
        yield from both(f"dst-{name}", 6, lambda way, b=body: [headed(way, DSTOPTS, b)], fate)
    yield from both("hop-small-jumbo", 6, lambda way: [headed(way, HOPOPTS, SMALL_JUMBO)], COMPLAINED)
    for name, (body, fate) in ROUTES.items():
        yield from both(f"routing-{name}", 6, lambda way, b=body: [headed(way, ROUTING, b)], fate)


def _first_fate(protocol: int, there: int) -> Fate:
    """Return what Linux does with fragments of which the first has so much of the transport (RFC 7112)."""
    return TAKEN if there >= TRANSPORT_BYTES[protocol] else COMPLAINED


def fragment_rows(protocol: int) -> Iterator[Row]:
    """Return fragments whole and cut small, in order and not, and behind headers."""
    for cut in (8, 16, 24):
        fate = _first_fate(protocol, cut)
        yield Row(f"first-{cut}", 6, protocol, lambda way, c=cut: fragments(way, c), fate)
        yield Row(f"first-{cut}-last", 6, protocol, lambda way, c=cut: fragments(way, c)[::-1], fate)
        yield Row(
            f"hop-dst-first-{cut}",
            6,
            protocol,
            lambda way, c=cut: fragments(way, c, before=(HOPOPTS, DSTOPTS)),
            fate,
        )
    small = tuple(range(8, 48, 8))
    fate = _first_fate(protocol, small[0])
    yield Row("all-of-8", 6, protocol, lambda way: fragments(way, *small), fate)
    yield Row("all-of-8-backwards", 6, protocol, lambda way: fragments(way, *small)[::-1], fate)
    for cut in (8, 16, 24, 40):
        fate = _first_fate(protocol, cut - 16)
        unread = EVERYWHERE if cut <= 16 else NOWHERE
        for name, before in (("", ()), ("dst-", (DSTOPTS,))):
            yield Row(
                f"{name}fragment-dst-{cut}",
                6,
                protocol,
                lambda way, c=cut, b=before: _behind_dstopts(way, c, b),
                fate,
                unread=unread,
            )
            yield Row(
                f"{name}fragment-dst-{cut}-last",
                6,
                protocol,
                lambda way, c=cut, b=before: _behind_dstopts(way, c, b)[::-1],
                fate,
                unread=unread,
            )


def odd_fragment_rows() -> Iterator[Row]:
    """Return fragments doubled, and such of fragments, of which Linux takes none."""
    yield from both("first-doubled", 6, _doubled)
    for protocol in PROTOCOLS:
        fate = _first_fate(protocol, 8)
        yield Row("decoy-flags", 6, protocol, lambda way: _decoy(way, ports_hidden=False), fate)
    hidden = both("decoy-port", 6, lambda way: _decoy(way, ports_hidden=True), COMPLAINED, unread=EVERYWHERE)
    yield from hidden
    for inner, outer, unread in (
        (8, 8, EVERYWHERE),
        (24, 8, EVERYWHERE),
        (24, 16, NOWHERE),
        (24, 24, NOWHERE),
    ):
        yield from both(
            f"nested-{inner}-{outer}",
            6,
            lambda way, i=inner, o=outer: _nested(way, i, o),
            COMPLAINED,
            unread=unread,
        )


def field_rows() -> Iterator[Row]:
    """Return plain packets, and headers that say something else than is there."""
    yield from both("plain", 6, plain)
    yield from both("padded", 6, lambda way: [plain(way)[0] + bytes(100)])
    for length in (0, 1000):
        lying = f"payload-length-{length}"
        yield from both(
            lying, 6, lambda way, n=length: [framed(way, segment(way), payload_length=n)], IGNORED
        )
    yield from both("version-4", 6, lambda way: [framed(way, segment(way), version=4)], IGNORED)
    yield from both(
        "as-ipv4", 6, lambda way: [p.ethernet(plain(way)[0][14:], p.ETH_IPV4)], IGNORED, layer2=True
    )


ROWS = (
    *field_rows(),
    *chain_rows(),
    *header_rows(),
    *(row for protocol in PROTOCOLS for row in fragment_rows(protocol)),
    *odd_fragment_rows(),
)
