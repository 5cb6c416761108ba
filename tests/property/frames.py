# SPDX-License-Identifier: MIT
"""Random frames, most of them nearly right, because there the rules are; nobody looks at checksums."""

from __future__ import annotations

import functools
import struct
from ipaddress import ip_address
from typing import TYPE_CHECKING

import packets as p
import table
from policy_model import KNOCK_V1, mac_of

if TYPE_CHECKING:
    from random import Random

LONGEST = 3000
"""Bytes of a frame; BPF_PROG_TEST_RUN takes what fits into a page with its own headers."""

# For what the first two groups of these are, see packets.py: devices without an Ethernet header.
SOURCES4 = (*(p.CLIENT4,) * 6, p.OTHER4, "8.0.0.0", "8.0.255.255", "192.0.2.1")
SOURCES6 = (
    *(p.CLIENT6,) * 8,
    p.OTHER6,
    "2001:db8:86dd:0:1::2",
    "2001:db8:86dd:1::2",
    *(p.LINK_LOCAL6,) * 2,
    "febf:0:86dd::2",
    "fec0:0:86dd::2",
    "fe80::2",
    "::ffff:8.0.1.2",
    "::fffe:8.0.1.2",
    "::8.0.1.2",
    "1::ffff:8.0.1.2",
)
DESTINATIONS6 = (*(p.SERVER6,) * 12, "2001:db8::3", "ff02::1", "::ffff:10.0.0.1")
DESTINATIONS4 = (*(p.SERVER4,) * 3, "10.0.0.2")
SOURCE_PORTS = (p.SOURCE_PORT, p.SOURCE_PORT, p.SOURCE_PORT + 1)
PORTS = (table.TCP_PORT, table.UDP_PORT, *(table.BOTH_PORT,) * 8, table.SPA_PORT, table.OPEN_PORT, 0, 65535)
FLAGS = (p.SYN, p.ACK, p.FIN | p.ACK, p.RST, p.SYN | p.ACK, 0, p.SYN | p.FIN, p.SYN | p.ECE | p.CWR, 0xFF)
OTHER_PROTOCOLS = (p.ICMP, p.ICMP6, p.ESP, p.NO_NEXT, 4, 41, 47, 132, 136, 255)

# Packets between few, in which most is about grants and sessions.
TALKERS = {4: (p.CLIENT4, p.CLIENT4, p.OTHER4), 6: (p.CLIENT6, p.CLIENT6, p.LINK_LOCAL6)}
TALKED_TO = (table.TCP_PORT, table.BOTH_PORT)
TALK = (*(p.SYN,) * 3, *(p.ACK,) * 3, p.FIN | p.ACK, p.RST, p.SYN | p.ACK, p.SYN | p.FIN)

TAGS = (*(bytes([number]) * 8 for number in range(1, 5)), bytes.fromhex("0101010000010101"))
"""Names of tags, of which two share a bit; scenes make some of them known, under `key_of`."""

BODIES = tuple(bytes([number]) * 112 for number in range(8))
"""What is behind the macs, few enough to come again."""


def key_of(tag: bytes) -> bytes:
    """Return the key under which the tag's macs are made."""
    return tag + bytes(8)


@functools.cache
def knock(tag: bytes, other: bytes, body: bytes) -> bytes:
    """Return a knock as a client makes it, unless its mac is another tag's."""
    return tag + mac_of(key_of(other), body) + body


@functools.cache
def address(text: str) -> bytes:
    """Return the bytes of an address."""
    return ip_address(text).packed


def segment(random: Random) -> bytes:
    """Return a TCP segment."""
    return bare_segment(random, random.choice(PORTS), random.choice(FLAGS))


def bare_segment(random: Random, port: int, flags: int) -> bytes:
    """Return such a TCP segment."""
    source_port = random.choice(SOURCE_PORTS)
    return struct.pack(">HHIIBBHHH", source_port, port, 1, 0, 5 << 4, flags, 65535, 0, 0)


def datagram(random: Random) -> bytes:
    """Return a UDP datagram: to the SPA port a knock, mostly."""
    port, payload = random.choice(PORTS), b"x" * 8
    if random.random() < 0.55:
        tag, body = random.choice(TAGS), random.choice(BODIES)
        other = random.choice(TAGS) if random.random() < 0.1 else tag
        port, payload = table.SPA_PORT, knock(tag, other, body)
        if random.random() < 0.15:
            payload = payload[:KNOCK_V1]
    length = 8 + len(payload)
    if random.random() < 0.05:
        length = random.choice((0, 8, length - 1, length + 1, 65535))
    return struct.pack(">HHHH", 40000, port, length, 0) + payload


def transport(random: Random) -> tuple[int, bytes]:
    """Return a protocol and what is behind the IP header."""
    kind = random.random()
    if kind < 0.45:
        return p.TCP, segment(random)
    if kind < 0.95:
        return p.UDP, datagram(random)
    return random.choice(OTHER_PROTOCOLS), segment(random)


def ipv4(random: Random) -> bytes:
    """Return an IPv4 packet."""
    protocol, payload = transport(random)
    odd = random.random()
    options = b"\x01" * random.choice((4, 8, 40)) if odd < 0.1 else b""
    fragment = p.IPV4_DONT_FRAGMENT
    if 0.1 <= odd < 0.2:
        fragment = random.choice((p.IPV4_MORE, p.IPV4_MORE, p.IPV4_MORE | 1, 1 << random.randrange(16)))
        payload = payload[: random.choice((0, 3, 3, 8, 16, *(len(payload),) * 3))]
    length = 20 + len(options) + len(payload)
    if random.random() < 0.1:
        length = random.choice((0, length - 1, length + 1, 65535, 20 + len(options) + random.randrange(20)))
    first = 0x45 + len(options) // 4
    head = struct.pack(">BBHHHBBH", first, 0, length, 1, fragment, 64, protocol, 0)
    addresses = address(random.choice(SOURCES4)) + address(random.choice(DESTINATIONS4))
    return head + addresses + options + payload


@functools.cache
def extension(kind: int, following: int, size: int) -> bytes:
    """Return an extension header; `size` chooses its length, or a fragment's field."""
    if kind == p.FRAGMENT:
        return p.extension(kind, following, fragment=(0, p.IPV6_MORE, 0x8000, 8 | p.IPV6_MORE)[size])
    shortest = 12 if kind == p.AH else 8
    return p.extension(kind, following, length=(shortest, shortest + 8, shortest + 16, 1024)[size])


def ipv6(random: Random) -> bytes:
    """Return an IPv6 packet."""
    following, payload = transport(random)
    if random.random() < 0.4:
        for _ in range(random.choice((1, 1, 1, 1, 2, 2, 3, 3, 8, 9))):
            kind = random.choice((p.HOPOPTS, p.DSTOPTS, p.ROUTING, p.AH, p.FRAGMENT))
            payload = extension(kind, following, random.choice((0, 0, 0, 0, 1, 1, 2, 3))) + payload
            following = kind
    length = len(payload)
    if random.random() < 0.1:
        length = random.choice((0, max(0, length - 1), length + 1, 65535, random.randrange(64)))
    head = struct.pack(">IHBB", 6 << 28, length, following, 64)
    return head + address(random.choice(SOURCES6)) + address(random.choice(DESTINATIONS6)) + payload


def talk(random: Random) -> bytes:
    """Return a plain TCP segment of one of few connections."""
    made = bare_segment(random, random.choice(TALKED_TO), random.choice(TALK))
    family = random.choice((4, 6))
    if family == 4:
        head = struct.pack(">BBHHHBBH", 0x45, 0, 40, 1, p.IPV4_DONT_FRAGMENT, 64, p.TCP, 0)
    else:
        head = struct.pack(">IHBB", 6 << 28, 20, p.TCP, 64)
    server = {4: p.SERVER4, 6: p.SERVER6}[family]
    packet = head + address(random.choice(TALKERS[family])) + address(server) + made
    return p.ethernet(packet, p.ETH_IPV4 if family == 4 else p.ETH_IPV6)


def whole(random: Random) -> bytes:
    """Return a frame that nothing happened to."""
    ethertype, packet = (p.ETH_IPV4, ipv4(random)) if random.random() < 0.5 else (p.ETH_IPV6, ipv6(random))
    odd = random.random()
    tags: tuple[int, ...] = ()
    if odd < 0.1:
        tags = tuple(
            random.choice((p.ETH_8021Q, p.ETH_8021AD)) for _ in range(random.choice((1, 1, 2, 2, 3, 4)))
        )
    if 0.1 <= odd < 0.12:
        ethertype = random.choice((p.ETH_ARP, p.ETH_IPV4, p.ETH_IPV6, 0x9100, 0x002E, 0xFFFF))
    return p.ethernet(packet, ethertype, tags=tags)


def damaged(random: Random, frame: bytes) -> bytes:
    """Return a frame that was cut, padded, or had some bytes changed."""
    how = random.random()
    if how < 0.4:
        return frame[: random.randrange(len(frame) + 1)]
    if how < 0.5:
        return frame + bytes(random.randrange(1, 20))
    changed = bytearray(frame)
    for _ in range(random.randrange(1, 4)):
        place = random.randrange(12, min(len(frame), 12 + random.choice((12, 60, LONGEST))))
        changed[place] = random.choice((0, 1, 0xFF, changed[place] ^ 1, random.randrange(256)))
    return bytes(changed)


def frame(random: Random) -> bytes:
    """Return a frame, well-formed more often than not."""
    made = whole(random)[:LONGEST]
    return damaged(random, made) if random.random() < 0.3 else made
