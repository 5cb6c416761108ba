# SPDX-License-Identifier: MIT
"""Sources that need a second look: always allowed, link-local, IPv4-mapped."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import packets as p
import table
from packets import ACK, SYN
from table import FAMILIES, SPA_PORT, TCP_PORT, UDP_PORT, Row, allowed, frame, granted

from spale_bpf._abi import Flag, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from machine import Machine

LOOPBACK = 1
"""The interface that packets of BPF_PROG_TEST_RUN come in on."""

EVERYBODY = {4: str(IPv4Address(0)), 6: "::"}
MAPPED = "::ffff:8.0.1.2"
NEAR_MAPPED = ("::fffe:8.0.1.2", "::8.0.1.2", "0:0:0:1:0:ffff:800:102", "1::ffff:8.0.1.2")


def from6(source: str, payload: bytes = p.tcp(TCP_PORT, SYN), protocol: int = p.TCP) -> bytes:
    """Return an IPv6 frame from `source`."""
    return p.ethernet(p.ipv6(payload, protocol, source=source), p.ETH_IPV6)


def _flag_off(loaded: Machine) -> None:
    loaded.settings(Flag(0))


def always_allow_rows() -> Iterator[Row]:
    """Return prefixes: a packet from one passes and touches nothing; a family is not the other."""
    dead = granted(p.TCP, TCP_PORT, table.dead)
    live = granted(p.TCP, TCP_PORT, table.live)
    clients = {4: p.CLIENT4, 6: p.CLIENT6}
    for family, bits in ((4, 128), (4, 120), (4, 96), (6, 128), (6, 64), (6, 0)):
        address = clients[family] if bits in {128, 120, 64} else EVERYBODY[family]
        allow = allowed(family, address, bits)
        name = f"allow-ipv{family}-{bits}"
        for flags in (SYN, ACK, SYN | ACK):
            packet = frame(family, p.tcp(TCP_PORT, flags), p.TCP)
            yield Row(f"{name}-tcp-{flags:02x}", packet, None, (allow,))
        yield Row(f"{name}-udp", frame(family, p.udp(UDP_PORT), p.UDP), None, (allow,))
        syn = frame(family, p.tcp(TCP_PORT, SYN), p.TCP)
        yield Row(f"{name}-dead", syn, None, (dead, allow))
        yield Row(f"{name}-live", syn, None, (live, allow))
        yield Row(f"{name}-flag-off", syn, Reason.NO_GRANT, (allow, _flag_off))
        other = frame(10 - family, p.tcp(TCP_PORT, SYN), p.TCP)
        yield Row(f"{name}-other-family", other, Reason.NO_GRANT, (allow,))
        yield Row(f"{name}-spa", frame(family, p.udp(SPA_PORT), p.UDP), Reason.SPA_LENGTH, (allow,))
    for family in FAMILIES:
        allow = allowed(family, {4: p.OTHER4, 6: p.OTHER6}[family], 128)
        syn = frame(family, p.tcp(TCP_PORT, SYN), p.TCP)
        yield Row(f"allow-other-ipv{family}", syn, Reason.NO_GRANT, (allow,))
    yield Row(
        "allow-as-mapped", frame(4, p.tcp(TCP_PORT, SYN), p.TCP), Reason.NO_GRANT, (allowed(6, MAPPED, 128),)
    )
    link_local = from6(p.LINK_LOCAL6)
    yield Row("allow-link-local", link_local, None, (allowed(6, p.LINK_LOCAL6, 128),))
    yield Row("allow-all-link-local", link_local, None, (allowed(6, "fe80::", 10),))


def link_local_rows() -> Iterator[Row]:
    """Return link-local sources: their grant holds on one interface."""
    packet = from6(p.LINK_LOCAL6)
    here = granted(p.TCP, TCP_PORT, table.live, p.LINK_LOCAL6, LOOPBACK)
    elsewhere = granted(p.TCP, TCP_PORT, table.live, p.LINK_LOCAL6, 0x01020304)
    nowhere = granted(p.TCP, TCP_PORT, table.live, p.LINK_LOCAL6)
    packed = p.packed(p.LINK_LOCAL6)
    scoped = packed[:4] + LOOPBACK.to_bytes(4, "big") + packed[8:]
    yield Row("link-local-none", packet, Reason.NO_GRANT, source=scoped)
    yield Row("link-local-here", packet, None, (here,), extends=True)
    yield Row("link-local-elsewhere", packet, Reason.NO_GRANT, (elsewhere,))
    yield Row("link-local-unscoped", packet, Reason.NO_GRANT, (nowhere,))
    chained = p.ipv6(*p.extended(p.tcp(TCP_PORT, SYN), p.TCP, p.DSTOPTS), source=p.LINK_LOCAL6)
    yield Row("link-local-chained", p.ethernet(chained, p.ETH_IPV6), None, (here,), extends=True)
    for source in ("febf:0:86dd::2", "fec0:0:86dd::2", "fe40:0:86dd::2"):
        scoped = source.startswith("febf")
        grant = granted(p.TCP, TCP_PORT, table.live, source, LOOPBACK if scoped else 0)
        yield Row(f"link-local-{source}", from6(source), None, (grant,), extends=True)


def mapped_rows() -> Iterator[Row]:
    """Return IPv6 packets with IPv4-mapped addresses; at an unprotected port they are not ours."""
    live = granted(p.TCP, TCP_PORT, table.live)
    everybody = allowed(6, "::", 0)
    ethernet_only = table.ETHERNET  # bytes 4 and 5 of these sources are not an ethertype
    packet = from6(MAPPED)
    yield Row("mapped-source", packet, Reason.MAPPED, (live,), how=ethernet_only)
    yield Row("mapped-source-allowed", packet, Reason.MAPPED, (everybody,), how=ethernet_only)
    yield Row("mapped-source-udp", from6(MAPPED, p.udp(UDP_PORT), p.UDP), Reason.MAPPED, how=ethernet_only)
    yield Row("mapped-source-spa", from6(MAPPED, p.udp(SPA_PORT), p.UDP), Reason.MAPPED, how=ethernet_only)
    yield Row("mapped-source-open", from6(MAPPED, p.tcp(table.OPEN_PORT, SYN)), None, how=ethernet_only)
    to_mapped = p.ipv6(p.tcp(TCP_PORT, SYN), p.TCP, destination=MAPPED)
    yield Row("mapped-destination", p.ethernet(to_mapped, p.ETH_IPV6), Reason.MAPPED, (live,))
    chained = p.ipv6(*p.extended(p.tcp(TCP_PORT, SYN), p.TCP, p.HOPOPTS), destination=MAPPED)
    yield Row("mapped-chained", p.ethernet(chained, p.ETH_IPV6), Reason.MAPPED, (live,))
    for source in NEAR_MAPPED:
        yield Row(f"near-mapped-{source}", from6(source), Reason.NO_GRANT, (live,), how=ethernet_only)


ROWS = (*always_allow_rows(), *link_local_rows(), *mapped_rows())
