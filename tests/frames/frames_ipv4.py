# SPDX-License-Identifier: MIT
"""IPv4: options, fragments, and fields that lie."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import packets as p
from frame_table import COMPLAINED, IGNORED, TAKEN, both, framed, packet, plain, segment, to
from listeners import OPEN
from packets import ACK, IPV4_MORE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from frame_table import Row
    from ways import Way

UNIT = 8
SERVER, CLIENT = bytes((198, 18, 0, 1)), bytes((198, 18, 0, 2))


def route(kind: int, *hops: bytes, pointer: int) -> bytes:
    """Return a route option (RFC 791 section 3.1), padded to whole words."""
    option = bytes((kind, 3 + 4 * len(hops), pointer)) + b"".join(hops)
    return option.ljust(-(-len(option) // 4) * 4, b"\0")


# Each with what Linux does, told to take source routes (lane.GENEROUS).
OPTIONS = {
    "nop": (b"\x01" * 4, TAKEN),
    "nop-40": (b"\x01" * 40, TAKEN),
    "end": (bytes(4), TAKEN),
    "end-40": (bytes(40), TAKEN),
    "record-route": (route(7, bytes(4), bytes(4), pointer=4), TAKEN),
    "record-route-40": (route(7, *[bytes(4)] * 9, pointer=4), TAKEN),
    "record-route-full": (route(7, CLIENT, pointer=8), TAKEN),
    "loose-route-done": (route(131, CLIENT, pointer=8), TAKEN),
    "strict-route-done": (route(137, CLIENT, pointer=8), TAKEN),
    "loose-route-to-itself": (route(131, SERVER, pointer=4), TAKEN),
    "loose-route-onward": (route(131, CLIENT, pointer=4), IGNORED),
    "timestamp": (bytes((68, 12, 5, 0)) + bytes(8), TAKEN),
    "timestamp-40": (bytes((68, 40, 5, 0)) + bytes(36), TAKEN),
    "router-alert": (bytes((148, 4, 0, 0)), TAKEN),
    "security": (bytes((130, 11)) + bytes(9) + b"\0", TAKEN),
    "unknown": (bytes((222, 8)) + bytes(6), TAKEN),
    "length-0": (bytes((222, 0, 0, 0)), COMPLAINED),
    "length-too-much": (bytes((222, 9, 0, 0)), COMPLAINED),
}


def cut_up(way: Way, data: bytes, *cuts: int, options: bytes = b"") -> list[bytes]:
    """Return `data` cut into fragments at these places, each a multiple of 8."""
    return [
        framed(way, data[start:end], fragment=start // UNIT | more, options=options)
        for start, end in itertools.pairwise((0, *cuts, len(data)))
        for more in (IPV4_MORE if end < len(data) else 0,)
    ]


def fragments(way: Way, *cuts: int, options: bytes = b"") -> list[bytes]:
    """Return a probe cut into fragments."""
    return cut_up(way, segment(way), *cuts, options=options)


def _doubled(way: Way) -> list[bytes]:
    first, last = fragments(way, 16)
    return [first, first, last]


def _overlapping(way: Way) -> list[bytes]:
    middle = framed(way, segment(way)[8:32], fragment=1 | IPV4_MORE)
    first, last = fragments(way, 16)
    return [first, middle, last]


def _overlaid(way: Way) -> list[bytes]:
    """Return a first fragment to the open port, which another one to this port overlaps."""
    return [fragments(to(way, OPEN), 16)[0], *fragments(way, 24)]


def _too_short(way: Way) -> list[bytes]:
    data = segment(way)
    return [framed(way, data[:3], fragment=IPV4_MORE), framed(way, data[8:], fragment=1)]


def _as_ipv6(way: Way) -> list[bytes]:
    return [p.ethernet(packet(way, segment(way)), p.ETH_IPV6)]


def _decoy(way: Way, claimed: int) -> list[bytes]:
    """Return fragments whose first has harmless TCP flags, but behind what reassembly takes of it.

    That is as much as the IP header claims, in whole units.
    """
    data = segment(way)
    harmless = segment(way, ACK)
    first = framed(way, data[:UNIT] + harmless[UNIT:], fragment=IPV4_MORE, total_length=20 + claimed)
    return [first, framed(way, data[UNIT:], fragment=1)]


def option_rows() -> Iterator[Row]:
    """Return every option, alone and on fragments."""
    for name, (options, fate) in OPTIONS.items():
        yield from both(name, 4, lambda way, o=options: [framed(way, segment(way), options=o)], fate)
    for name in ("nop-40", "record-route", "loose-route-done"):
        options, fate = OPTIONS[name]
        yield from both(f"fragments-{name}", 4, lambda way, o=options: fragments(way, 16, options=o), fate)


def fragment_rows() -> Iterator[Row]:
    """Return fragments whole and cut small, in order and not, doubled and overlapping."""
    for cut in (8, 16, 24):
        yield from both(f"first-{cut}", 4, lambda way, c=cut: fragments(way, c))
        yield from both(f"first-{cut}-last", 4, lambda way, c=cut: fragments(way, c)[::-1])
    small = tuple(range(8, 48, 8))
    yield from both("all-of-8", 4, lambda way: fragments(way, *small))
    yield from both("all-of-8-backwards", 4, lambda way: fragments(way, *small)[::-1])
    yield from both("all-of-8-mixed", 4, lambda way: sorted(fragments(way, *small), key=lambda f: f[::-1]))
    yield from both("first-doubled", 4, _doubled)
    for claimed in (8, 15):
        yield from both(f"decoy-{claimed}", 4, lambda way, c=claimed: _decoy(way, c))
    yield from both("overlapping", 4, _overlapping, IGNORED)
    yield from both("overlaid", 4, _overlaid, IGNORED)
    yield from both("first-too-short", 4, _too_short, IGNORED)


def field_rows() -> Iterator[Row]:
    """Return headers that say something else than is there."""
    yield from both("plain", 4, plain)
    yield from both("may-fragment", 4, lambda way: [framed(way, segment(way), fragment=0)])
    yield from both("evil-bit", 4, lambda way: [framed(way, segment(way), fragment=0x8000)])
    yield from both("padded", 4, lambda way: [plain(way)[0] + bytes(100)])
    for length in (20, 1000):
        lying = f"total-length-{length}"
        yield from both(lying, 4, lambda way, n=length: [framed(way, segment(way), total_length=n)], IGNORED)
    for first in (0x44, 0x46, 0x55, 0x65):
        yield from both(
            f"first-byte-{first:02x}",
            4,
            lambda way, f=first: [framed(way, segment(way), version_ihl=f)],
            IGNORED,
            layer2=first == 0x55,  # neither version: tun does not know what it is
        )
    yield from both(
        "as-ipv6", 4, lambda way: [p.ethernet(plain(way)[0][14:], p.ETH_IPV6)], IGNORED, layer2=True
    )


ROWS = (*field_rows(), *option_rows(), *fragment_rows())
