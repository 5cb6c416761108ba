# SPDX-License-Identifier: MIT
"""TCP with odd flags, UDP with odd lengths, where somebody listens and where nobody does; odd addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import packets as p
from frame_table import (
    COMPLAINED,
    FAMILIES,
    FILLING,
    IGNORED,
    NOBODY_THERE,
    TAKEN,
    Row,
    every,
    framed,
    plain,
    segment,
)
from lane import MAPPED
from packets import ACK, CWR, ECE, FIN, PSH, RST, SYN, TCP, UDP, URG

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ways import Way

# What a listening socket does: a SYN-ACK or a RST, or nothing.
AT_A_LISTENER = {
    "syn": (SYN, TAKEN),
    "syn-psh": (SYN | PSH, TAKEN),
    "syn-urg": (SYN | URG, TAKEN),
    "syn-ecn": (SYN | ECE | CWR, TAKEN),
    "ack": (ACK, TAKEN),
    "ack-psh": (ACK | PSH, TAKEN),
    "syn-ack": (SYN | ACK, TAKEN),
    "fin-ack": (FIN | ACK, TAKEN),
    "null": (0, IGNORED),
    "fin": (FIN, IGNORED),
    "xmas": (FIN | PSH | URG, IGNORED),
    "syn-fin": (SYN | FIN, IGNORED),
    "syn-rst": (SYN | RST, IGNORED),
    "rst": (RST, IGNORED),
    "rst-ack": (RST | ACK, IGNORED),
    "all": (0xFF, IGNORED),
}


def flag_rows(family: int) -> Iterator[Row]:
    """Return every mixture of flags that a scanner tries, with data and without."""
    for name, (flags, fate) in AT_A_LISTENER.items():
        for ending, data in (("", b""), ("-data", b"data")):

            def build(way: Way, flags: int = flags, data: bytes = data) -> list[bytes]:
                return [framed(way, segment(way, flags, data))]

            alone = IGNORED if flags & RST else TAKEN  # where nobody listens all but RST is reset
            yield Row(f"{name}{ending}", family, TCP, build, fate)
            yield Row(f"{name}{ending}-nobody", family, TCP, build, alone, ports=NOBODY_THERE)
    yield Row("plain-nobody", family, UDP, plain, COMPLAINED, ports=NOBODY_THERE)


def cut_rows() -> Iterator[Row]:
    """Return transport headers that are not all there."""
    for size in (0, 3, 4, 7):
        yield from every(f"cut-{size}", lambda way, s=size: [framed(way, segment(way)[:s])], IGNORED)
    for family in FAMILIES:
        for size in (8, 13, 14, 19):
            yield Row(
                f"cut-{size}", family, TCP, lambda way, s=size: [framed(way, segment(way)[:s])], IGNORED
            )


def claim_rows() -> Iterator[Row]:
    """Return UDP headers that lie about the length; IPv6 wants a checksum, and 0 is that of a jumbogram."""
    for family, four, six in ((4, TAKEN, IGNORED), (6, IGNORED, TAKEN)):
        yield Row("no-checksum", family, UDP, _without_checksum, four)
        yield Row("claims-0", family, UDP, lambda way: [framed(way, _claiming(way, 0))], six)
        yield Row(
            "claims-less", family, UDP, lambda way: [framed(way, segment(way, payload=way.token) + FILLING)]
        )
        yield Row("claims-more", family, UDP, lambda way: [framed(way, _claiming(way, 100))], IGNORED)


def _without_checksum(way: Way) -> list[bytes]:
    datagram = segment(way)
    return [framed(way, datagram[:6] + bytes(2) + datagram[8:])]


def _claiming(way: Way, length: int) -> bytes:
    return p.udp(way.port, way.token + FILLING, (way.source, way.destination), length=length)


SOURCES = {
    "0.0.0.0": IGNORED,  # noqa: S104 - as a source
    "127.0.0.1": IGNORED,
    "198.18.0.1": IGNORED,  # the server's own
    "224.0.0.5": IGNORED,
    "255.255.255.255": IGNORED,
    "::": TAKEN,
    "::1": IGNORED,
    "ff02::5": IGNORED,
    "2001:db8::1": TAKEN,  # the server's own
    "fe80::77": TAKEN,
    "::ffff:198.18.0.2": TAKEN,
    "::198.18.0.2": TAKEN,
    "64:ff9b::198.18.0.2": TAKEN,
}


def source_rows() -> Iterator[Row]:
    """Return datagrams from odd sources; the answer to a SYN would go astray."""
    for source, fate in SOURCES.items():
        yield Row(f"from-{source}", 6 if ":" in source else 4, UDP, plain, fate, source=source)


def mapped_rows() -> Iterator[Row]:
    """Return IPv6 packets to an IPv4-mapped address, made the server's own by a route (lane.MAPPED)."""
    for source in (None, "::ffff:198.18.0.2"):
        name = "to-mapped" if source is None else "from-and-to-mapped"
        for protocol, fate in ((TCP, IGNORED), (UDP, TAKEN)):
            yield Row(name, 6, protocol, plain, fate, source=source, destination=MAPPED)


ROWS = (
    *(row for family in FAMILIES for row in flag_rows(family)),
    *cut_rows(),
    *claim_rows(),
    *source_rows(),
    *mapped_rows(),
)
