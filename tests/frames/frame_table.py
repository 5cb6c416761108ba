# SPDX-License-Identifier: MIT
"""What a row of the table of frames is, and the pieces that rows are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import packets as p
from attrs import evolve, frozen
from listeners import OPEN, OPEN_CLOSED, PROTECTED, PROTECTED_CLOSED, SPA
from packets import SYN, TCP, UDP
from ways import Fate, Way

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Build = Callable[[Way], Iterable[bytes]]

TAKEN, COMPLAINED, IGNORED = Fate

LISTENED = (PROTECTED, OPEN)
NOBODY_THERE = (PROTECTED_CLOSED, OPEN_CLOSED)
KNOCKED_AT = (SPA, OPEN)

EVERYWHERE = frozenset({"tc", "xdp"})
XDP_ONLY = frozenset({"xdp"})
NOWHERE: frozenset[str] = frozenset()

FAMILIES, PROTOCOLS = (4, 6), (TCP, UDP)
FILLING = bytes(range(36))


@frozen
class Row:
    """Frames, built anew for each probe, and what a Linux host makes of them.

    `fate`: what the host itself does; where it ignores them, that the protected port is silent proves little.
    `ports`: a protected one and an open one where the same things happen. `unread`: programs (tc, xdp) that
    drop such frames whatever the port (spec.md, "Fail closed": too many headers, too many tags, no ports to
    be found); `perhaps_unread`: they do if that is how the kernel has its buffers. `layer2`: there is no such
    thing without an Ethernet header.
    """

    name: str
    family: int
    protocol: int
    build: Build
    fate: Fate = TAKEN
    ports: tuple[int, int] = LISTENED
    unread: frozenset[str] = NOWHERE
    perhaps_unread: frozenset[str] = NOWHERE
    layer2: bool = False
    source: str | None = None
    destination: str | None = None

    def expected(self, enforcer: str) -> tuple[Fate, ...]:
        """Return what may become of it at the open port of a host with this enforcer."""
        hook = enforcer.partition("-")[0]
        if hook in self.perhaps_unread:
            return self.fate, IGNORED
        return (IGNORED,) if hook in self.unread else (self.fate,)

    def __str__(self) -> str:
        """Return what pytest calls it."""
        return f"{self.name}-{'tcp' if self.protocol == TCP else 'udp'}{self.family}"


def both(name: str, family: int, build: Build, fate: Fate = TAKEN, **more: object) -> Iterator[Row]:
    """Return a row for TCP and one for UDP that are alike."""
    for protocol in PROTOCOLS:
        yield Row(name, family, protocol, build, fate, **more)  # type: ignore[arg-type] # passed through


def every(name: str, build: Build, fate: Fate = TAKEN, **more: object) -> Iterator[Row]:
    """Return a row for each protocol over each family; all are alike."""
    for family in FAMILIES:
        yield from both(name, family, build, fate, **more)


def segment(way: Way, flags: int = SYN, payload: bytes | None = None) -> bytes:
    """Return a TCP segment, or a UDP datagram, with the token in it; that of TCP has 64 bytes."""
    addresses = (way.source, way.destination)
    content = way.token + FILLING if payload is None else payload
    if way.protocol == TCP:
        return p.tcp(way.port, flags, content, addresses)
    return p.udp(way.port, content, addresses)


def packet(way: Way, payload: bytes, protocol: int | None = None, **header: object) -> bytes:
    """Return an IP packet on this way."""
    make = p.ipv4 if way.family == 4 else p.ipv6
    following = way.protocol if protocol is None else protocol
    addresses = {"source": way.source, "destination": way.destination}
    return make(payload, following, **{**addresses, **header})  # type: ignore[arg-type] # passed through


def ethertype(way: Way) -> int:
    """Return the type of frames that carry this way's packets."""
    return p.ETH_IPV4 if way.family == 4 else p.ETH_IPV6


def framed(way: Way, payload: bytes, protocol: int | None = None, **header: object) -> bytes:
    """Return such a packet in a plain frame."""
    return p.ethernet(packet(way, payload, protocol, **header), ethertype(way))


def plain(way: Way) -> list[bytes]:
    """Return a probe with nothing odd about it."""
    return [framed(way, segment(way))]


def chained(way: Way, payload: bytes, *kinds: int | tuple[int, int]) -> bytes:
    """Return an IPv6 packet with extension headers, in a plain frame."""
    return framed(way, *p.extended(payload, way.protocol, *kinds))


def to(way: Way, port: int) -> Way:
    """Return the same way to another port."""
    return evolve(way, port=port)
