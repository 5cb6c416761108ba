# SPDX-License-Identifier: MIT
"""Fail closed (spec.md): packets whose ports are hard to find, with a protected and with an open port."""

from __future__ import annotations

from typing import TYPE_CHECKING

import packets as p
import table
from machine import ETH_LENGTH, Entry
from packets import AH, DSTOPTS, FRAGMENT, HOPOPTS, IPV4_MORE, IPV6_MORE, ROUTING, SYN
from table import ETHERNET, FAMILIES, OPEN_PORT, TCP_PORT, UDP_PORT, Row, chained, frame, granted

from spale_bpf._abi import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

KNOCK, HARMLESS = p.tcp(TCP_PORT, SYN), p.tcp(OPEN_PORT, SYN)
LIVE_TCP = (granted(p.TCP, TCP_PORT, table.live),)
LIVE_UDP = (granted(p.UDP, UDP_PORT, table.live),)


def plain4(payload: bytes, protocol: int = p.TCP, **header: object) -> bytes:
    """Return an IPv4 frame with odd header fields."""
    return p.ethernet(p.ipv4(payload, protocol, **header), p.ETH_IPV4)  # type: ignore[arg-type] # passed through


def plain6(payload: bytes, protocol: int = p.TCP, **header: object) -> bytes:
    """Return an IPv6 frame with odd header fields."""
    return p.ethernet(p.ipv6(payload, protocol, **header), p.ETH_IPV6)  # type: ignore[arg-type] # passed through


def ipv4_rows() -> Iterator[Row]:
    """Return options, fragments and nonsense."""
    for length in (4, 8, 20, 36, 40):
        options = b"\x01" * length
        yield Row(f"options-{length}", plain4(KNOCK, options=options), Reason.NO_GRANT)
        yield Row(f"options-{length}-open", plain4(HARMLESS, options=options), None)
        yield Row(f"options-{length}-live", plain4(KNOCK, options=options), None, LIVE_TCP, extends=True)
    yield Row("ipv4-ihl-4", plain4(HARMLESS, version_ihl=0x44), Reason.TRUNCATED)
    yield Row("ipv4-version-5", plain4(HARMLESS, version_ihl=0x55), Reason.TRUNCATED)
    yield Row("ipv4-cut", plain4(b"")[:-1], Reason.TRUNCATED, exact=True)
    yield Row("ipv4-cut-options", plain4(b"", version_ihl=0x46), Reason.TRUNCATED, exact=True)
    yield Row("ipv4-evil-bit", plain4(KNOCK, fragment=0x8000), Reason.NO_GRANT)
    yield Row("ipv4-total-length-lies", plain4(KNOCK, total_length=20), Reason.NO_GRANT)
    for size in (0, 3, 4, 7):
        short = plain4(KNOCK[:size], fragment=IPV4_MORE)
        yield Row(f"ipv4-first-{size}", short, Reason.SHORT_FRAGMENT, LIVE_TCP)
        short = plain4(KNOCK[:size], p.UDP, fragment=IPV4_MORE)
        yield Row(f"ipv4-first-{size}-udp", short, Reason.SHORT_FRAGMENT)
    yield Row("ipv4-first-0-icmp", plain4(b"", p.ICMP, fragment=IPV4_MORE), None)
    for size in (8, 14, 15):
        cut = plain4(KNOCK[:size], fragment=IPV4_MORE)
        yield Row(f"ipv4-first-{size}", cut, Reason.BAD_FLAGS)
        yield Row(f"ipv4-first-{size}-live", cut, None, LIVE_TCP, extends=True)
        yield Row(f"ipv4-first-{size}-open", plain4(HARMLESS[:size], fragment=IPV4_MORE), None)
    yield Row("ipv4-first-16", plain4(KNOCK[:16], fragment=IPV4_MORE), Reason.NO_GRANT)
    yield Row("ipv4-first-24", plain4(KNOCK + bytes(4), fragment=IPV4_MORE), Reason.NO_GRANT)
    first = plain4(KNOCK[:16], fragment=IPV4_MORE, options=bytes(8))
    yield Row("ipv4-first-options", first, Reason.NO_GRANT)
    for offset in (1, 2, 0x1FFF):
        yield Row(f"ipv4-later-{offset}", plain4(KNOCK, fragment=offset), None)
        yield Row(f"ipv4-later-more-{offset}", plain4(KNOCK, fragment=IPV4_MORE | offset), None)
    first = plain4(p.udp(UDP_PORT, bytes(16)), p.UDP, fragment=IPV4_MORE)
    yield Row("ipv4-first-udp-live", first, None, LIVE_UDP, extends=True)
    for protocol in (p.ICMP, p.ESP, 47, 132):
        yield Row(f"ipv4-protocol-{protocol}", plain4(KNOCK, protocol), None)


def ipv6_rows() -> Iterator[Row]:
    """Return extension headers, fragments and nonsense."""
    for kind in (HOPOPTS, DSTOPTS, ROUTING, AH, (HOPOPTS, 64), (DSTOPTS, 2048), (AH, 1028), (FRAGMENT, 0)):
        yield Row(f"ipv6-{kind}", chained(KNOCK, p.TCP, kind), Reason.NO_GRANT, source=p.packed(p.CLIENT6))
        yield Row(f"ipv6-{kind}-open", chained(HARMLESS, p.TCP, kind), None)
        yield Row(f"ipv6-{kind}-live", chained(KNOCK, p.TCP, kind), None, LIVE_TCP, extends=True)
        yield Row(f"ipv6-{kind}-udp", chained(p.udp(UDP_PORT), p.UDP, kind), Reason.NO_GRANT)
        yield Row(
            f"ipv6-{kind}-cut", chained(KNOCK, p.TCP, kind)[: 14 + 40 + 7], Reason.TRUNCATED, exact=True
        )
        yield Row(f"ipv6-{kind}-nothing", chained(b"", p.NO_NEXT, kind), None)
    mixed = (HOPOPTS, DSTOPTS, ROUTING, (FRAGMENT, 0), AH, (DSTOPTS, 24), HOPOPTS, AH)
    yield Row("ipv6-eight", chained(KNOCK, p.TCP, *mixed), Reason.NO_GRANT)
    yield Row("ipv6-eight-open", chained(HARMLESS, p.TCP, *mixed), None)
    yield Row("ipv6-nine", chained(KNOCK, p.TCP, *mixed, DSTOPTS), Reason.EXTENSIONS, LIVE_TCP)
    yield Row("ipv6-nine-open", chained(HARMLESS, p.TCP, *mixed, DSTOPTS), Reason.EXTENSIONS)
    yield Row("ipv6-cut", plain6(b"")[:-1], Reason.TRUNCATED, exact=True)
    yield Row("ipv6-version-4", plain6(HARMLESS, version=4), Reason.TRUNCATED)
    yield Row("ipv6-payload-length-lies", plain6(KNOCK, payload_length=0), Reason.NO_GRANT)
    more = (FRAGMENT, IPV6_MORE)
    for size in (0, 3, 7):
        short = chained(KNOCK[:size], p.TCP, more)
        yield Row(f"ipv6-first-{size}", short, Reason.SHORT_FRAGMENT, LIVE_TCP)
    for size in (0, 3):
        cut = chained(KNOCK[:size], p.TCP, (FRAGMENT, 0))
        yield Row(f"ipv6-atomic-{size}", cut, Reason.TRUNCATED, exact=True)
    yield Row("ipv6-first-cut-chain", chained(b"", DSTOPTS, more), Reason.SHORT_FRAGMENT)
    for size in (8, 15):
        yield Row(f"ipv6-first-{size}", chained(KNOCK[:size], p.TCP, more), Reason.BAD_FLAGS)
    yield Row("ipv6-first-16", chained(KNOCK[:16], p.TCP, more), Reason.NO_GRANT)
    yield Row("ipv6-first-16-open", chained(HARMLESS[:16], p.TCP, more), None)
    yield Row("ipv6-first-chain", chained(KNOCK[:16], p.TCP, HOPOPTS, more, DSTOPTS), Reason.NO_GRANT)
    yield Row("ipv6-later", chained(KNOCK, p.TCP, (FRAGMENT, 8)), None)
    yield Row("ipv6-later-more", chained(KNOCK, p.TCP, DSTOPTS, (FRAGMENT, 8 | IPV6_MORE)), None)
    for protocol in (p.ICMP6, p.ESP, p.NO_NEXT, 47, 132, 135):
        yield Row(f"ipv6-protocol-{protocol}", plain6(KNOCK, protocol), None)


def lying_rows() -> Iterator[Row]:
    """Return first fragments with more in the frame than they claim: the host reads other fragments there."""
    state = (granted(p.TCP, TCP_PORT, table.grace),)
    for claimed, reason in (
        (0, Reason.SHORT_FRAGMENT),
        (4, Reason.SHORT_FRAGMENT),
        (8, Reason.BAD_FLAGS),
        (15, Reason.BAD_FLAGS),
        (16, None),
        (20, None),
        (24, None),
    ):
        for options in (b"", bytes(12)):
            length = 20 + len(options) + claimed
            lie = plain4(KNOCK, fragment=IPV4_MORE, total_length=length, options=options)
            name = f"ipv4-first-claims-{claimed}-options-{len(options)}"
            yield Row(name, lie, reason, state, extends=reason is None)
        for kinds in ((), (HOPOPTS,), (AH,)):
            content, following = p.extended(KNOCK, p.TCP, *kinds, (FRAGMENT, IPV6_MORE))
            length = len(content) - len(KNOCK) + claimed
            name = f"ipv6-first-claims-{claimed}-behind-{kinds}"
            yield Row(
                name, plain6(content, following, payload_length=length), reason, state, extends=reason is None
            )
    content, following = p.extended(HARMLESS, p.TCP, (FRAGMENT, IPV6_MORE), DSTOPTS)
    for claimed in (0, 8, 15):
        name = f"ipv6-first-claims-no-ports-{claimed}"
        yield Row(name, plain6(content, following, payload_length=8 + claimed), Reason.SHORT_FRAGMENT)
    yield Row("ipv6-first-claims-ports", plain6(content, following, payload_length=24), None)
    yield Row(
        "ipv4-first-claims-no-header",
        plain4(KNOCK, fragment=IPV4_MORE, total_length=8),
        Reason.SHORT_FRAGMENT,
    )
    behind = chained(KNOCK, p.TCP, HOPOPTS, (FRAGMENT, IPV6_MORE))
    behind = behind[:18] + (8).to_bytes(2, "big") + behind[20:]
    yield Row("ipv6-first-claims-no-fragment-header", behind, Reason.SHORT_FRAGMENT)


def nested_rows() -> Iterator[Row]:
    """Return whole packets behind IPv6 headers: where a source route ends, the host may unpack them."""
    for port in (TCP_PORT, OPEN_PORT):
        syn = p.tcp(port, SYN)
        for number, inner in ((41, p.ipv6(syn, p.TCP)), (4, p.ipv4(syn, p.TCP))):
            for kinds in ((ROUTING,), (HOPOPTS, (ROUTING, 24)), ((FRAGMENT, 0), DSTOPTS, ROUTING)):
                name = f"ipv6-{number}-{port}-behind-{kinds}"
                yield Row(name, chained(inner, number, *kinds), Reason.EXTENSIONS, source=p.packed(p.CLIENT6))
            first = chained(inner, number, (FRAGMENT, IPV6_MORE), ROUTING)
            yield Row(f"ipv6-{number}-{port}-behind-first", first, Reason.EXTENSIONS)
            # A tunnel, if anything: whoever ends one here protects its interface.
            for kinds in ((), (DSTOPTS,), (ROUTING, DSTOPTS)):
                yield Row(f"ipv6-{number}-{port}-tunnel-{kinds}", chained(inner, number, *kinds), None)
    for kinds in ((ROUTING,), (ROUTING, DSTOPTS)):
        for number in (p.NO_NEXT, p.ICMP6, 47, 143):
            yield Row(f"ipv6-{number}-behind-{kinds}", chained(bytes(40), number, *kinds), None)


def cut_rows() -> Iterator[Row]:
    """Return packets that end inside the transport header."""
    for family in FAMILIES:
        for size in (0, 1, 3):
            yield Row(
                f"tcp-{size}-ipv{family}",
                frame(family, KNOCK[:size], p.TCP),
                Reason.TRUNCATED,
                LIVE_TCP,
                exact=True,
            )
            yield Row(
                f"udp-{size}-ipv{family}",
                frame(family, KNOCK[:size], p.UDP),
                Reason.TRUNCATED,
                LIVE_TCP,
                exact=True,
            )
        for size in (4, 8, 13):
            yield Row(
                f"tcp-{size}-ipv{family}", frame(family, KNOCK[:size], p.TCP), Reason.BAD_FLAGS, exact=True
            )
            yield Row(f"tcp-{size}-open-ipv{family}", frame(family, HARMLESS[:size], p.TCP), None, exact=True)
            cut = frame(family, KNOCK[:size], p.TCP)
            yield Row(f"tcp-{size}-live-ipv{family}", cut, None, LIVE_TCP, extends=True, exact=True)
        yield Row(f"tcp-14-ipv{family}", frame(family, KNOCK[:14], p.TCP), Reason.NO_GRANT, exact=True)
        yield Row(
            f"udp-4-ipv{family}", frame(family, p.udp(UDP_PORT)[:4], p.UDP), Reason.NO_GRANT, exact=True
        )
        yield Row(f"udp-4-open-ipv{family}", frame(family, p.udp(OPEN_PORT)[:4], p.UDP), None, exact=True)


def vlan_rows() -> Iterator[Row]:
    """Return tags: two are read, what is deeper is dropped whatever it is."""
    q, ad = p.ETH_8021Q, p.ETH_8021AD
    packet4, packet6 = p.ipv4(KNOCK, p.TCP), p.ipv6(*p.extended(KNOCK, p.TCP, DSTOPTS))
    harmless = p.ipv4(HARMLESS, p.TCP)
    for tags in ((q,), (ad,), (q, q), (ad, q), (q, ad)):
        name = "-".join(f"{tag:04x}" for tag in tags)
        for vid in (0, 5):
            tagged = p.ethernet(packet4, p.ETH_IPV4, tags=tags, vid=vid)
            yield Row(f"vlan-{name}-vid-{vid}", tagged, Reason.NO_GRANT, how=ETHERNET)
        tagged = p.ethernet(packet6, p.ETH_IPV6, tags=tags)
        yield Row(f"vlan-{name}-ipv6", tagged, Reason.NO_GRANT, how=ETHERNET)
        tagged = p.ethernet(packet4, p.ETH_IPV4, tags=tags)
        yield Row(f"vlan-{name}-live", tagged, None, LIVE_TCP, extends=True, how=ETHERNET)
        yield Row(f"vlan-{name}-open", p.ethernet(harmless, p.ETH_IPV4, tags=tags), None, how=ETHERNET)
        yield Row(f"vlan-{name}-arp", p.ethernet(bytes(28), p.ETH_ARP, tags=tags), None, how=ETHERNET)
        cut = p.ethernet(b"", p.ETH_IPV4, tags=tags)[:-1]
        yield Row(f"vlan-{name}-cut", cut, Reason.TRUNCATED, source=bytes(16), how=ETHERNET, exact=True)
    for tags in ((q, q, q), (ad, q, q, q)):
        name = f"vlan-{len(tags)}"
        for ethertype, packet in ((p.ETH_IPV4, packet4), (p.ETH_IPV4, harmless), (p.ETH_ARP, bytes(28))):
            deep = p.ethernet(packet, ethertype, tags=tags)
            name += "-"
            yield Row(name, deep, Reason.VLAN_DEPTH, LIVE_TCP, source=bytes(16), how=ETHERNET)


def layer2_rows() -> Iterator[Row]:
    """Return what is not IP, frames to everybody, and what is too short to be one."""
    for size in (1, ETH_LENGTH - 1):
        runt = frame(4, KNOCK, p.TCP)[:size]
        yield Row(f"ethernet-{size}", runt, Reason.TRUNCATED, source=bytes(16), how=(Entry.XDP,), exact=True)
    for ethertype in (p.ETH_ARP, 0x88CC, 0x9100, 0x002E):
        yield Row(
            f"ethertype-{ethertype:04x}", p.ethernet(p.ipv4(KNOCK, p.TCP), ethertype), None, how=ETHERNET
        )
    for destination in (b"\xff" * 6, b"\x01\0\x5e\0\0\x01", b"\x33\x33\0\0\0\x01", bytes(6)):
        packet = p.ethernet(p.ipv4(KNOCK, p.TCP), p.ETH_IPV4, destination=destination)
        yield Row(f"to-{destination.hex()}", packet, Reason.NO_GRANT, how=ETHERNET)


ROWS = (*ipv4_rows(), *ipv6_rows(), *nested_rows(), *lying_rows(), *cut_rows(), *vlan_rows(), *layer2_rows())
