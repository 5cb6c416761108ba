# SPDX-License-Identifier: MIT
"""Ethernet: VLAN tags, and frames to everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

import packets as p
from frame_table import (
    EVERYWHERE,
    FAMILIES,
    IGNORED,
    NOWHERE,
    TAKEN,
    XDP_ONLY,
    Row,
    ethertype,
    every,
    packet,
    segment,
)
from listeners import GROUP
from packets import TCP, UDP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ways import Way

Q, AD = p.ETH_8021Q, p.ETH_8021AD

# The kernel takes one tag out of the frame before TC sees it; two more are read, so XDP reads one less.
STACKS = {
    (Q,): NOWHERE,
    (AD,): NOWHERE,
    (Q, Q): NOWHERE,
    (AD, Q): NOWHERE,
    (Q, AD): NOWHERE,
    (AD, AD): NOWHERE,
    (Q, Q, Q): XDP_ONLY,
    (AD, Q, Q): XDP_ONLY,
    (Q, Q, Q, Q): EVERYWHERE,
    (AD, AD, Q, Q): EVERYWHERE,
}
PRIORITY_7, VID_5 = 7 << 13, 5
OLD_QINQ = 0x9100

BROADCAST = b"\xff" * 6
GROUP_MAC = b"\x01\0\x5e\x01\x02\x03"
ALL_NODES_MAC = b"\x33\x33\0\0\0\x01"
SOMEBODY = b"\x02\0\0\0\0\x77"


def tagged(way: Way, *tags: int, tci: int = 0) -> list[bytes]:
    """Return a probe behind VLAN tags, the outermost first."""
    return [p.ethernet(packet(way, segment(way)), ethertype(way), tags=tags, vid=tci)]


def addressed(way: Way, mac: bytes) -> list[bytes]:
    """Return a probe to this Ethernet address."""
    return [p.ethernet(packet(way, segment(way)), ethertype(way), destination=mac)]


def vlan_rows() -> Iterator[Row]:
    """Return tags; with the id 0 they are taken without a VLAN device, with another one they are not."""
    for tags, unread in STACKS.items():
        name = "-".join(f"{tag:04x}" for tag in tags)
        yield from every(f"vid0-{name}", lambda way, t=tags: tagged(way, *t), unread=unread, layer2=True)
        yield from every(f"vid5-{name}", lambda way, t=tags: tagged(way, *t, tci=VID_5), IGNORED, layer2=True)
    yield from every("vid0-priority", lambda way: tagged(way, Q, tci=PRIORITY_7), layer2=True)
    yield from every("old-tag", lambda way: tagged(way, OLD_QINQ), IGNORED, layer2=True)


def destination_rows() -> Iterator[Row]:
    """Return frames to other addresses than the server's: UDP takes what is for everybody, TCP does not."""
    groups = {"broadcast": BROADCAST, "group": GROUP_MAC, "all-nodes": ALL_NODES_MAC}
    for name, mac in groups.items():
        for family in FAMILIES:
            for protocol, fate in ((TCP, IGNORED), (UDP, TAKEN)):
                yield Row(
                    f"to-{name}", family, protocol, lambda way, m=mac: addressed(way, m), fate, layer2=True
                )
    yield from every("to-somebody", lambda way: addressed(way, SOMEBODY), IGNORED, layer2=True)


def group_rows() -> Iterator[Row]:
    """Return datagrams to everybody, by IP and by Ethernet."""
    for address, mac, fate in (
        ("255.255.255.255", BROADCAST, TAKEN),
        ("198.18.0.255", BROADCAST, TAKEN),
        (GROUP, GROUP_MAC, TAKEN),
        ("ff02::1", ALL_NODES_MAC, TAKEN),
        ("ff01::1", ALL_NODES_MAC, IGNORED),  # the scope of one host
    ):
        yield Row(
            f"to-{address}",
            6 if ":" in address else 4,
            UDP,
            lambda way, m=mac: addressed(way, m),
            fate,
            layer2=True,
            destination=address,
        )


def _snap(way: Way) -> list[bytes]:
    inner = b"\xaa\xaa\x03\0\0\0" + ethertype(way).to_bytes(2, "big") + packet(way, segment(way))
    return [p.ethernet(inner, len(inner))]


def llc_rows() -> Iterator[Row]:
    """Return IP in an 802.3 frame behind LLC and SNAP (RFC 1042), which Linux does not take."""
    yield from every("snap", _snap, IGNORED, layer2=True)


ROWS = (*vlan_rows(), *destination_rows(), *group_rows(), *llc_rows())
