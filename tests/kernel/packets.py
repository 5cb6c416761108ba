# SPDX-License-Identifier: MIT
"""Packets as bytes, well-formed unless told otherwise; checksums are right, so that real hosts take them.

A layer is a function from its payload to bytes; lengths and checksums follow from the payload.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address

ETH_IPV4, ETH_IPV6, ETH_ARP = 0x0800, 0x86DD, 0x0806
ETH_8021Q, ETH_8021AD = 0x8100, 0x88A8
HOPOPTS, ICMP, TCP, UDP, ROUTING, FRAGMENT, ESP, AH, ICMP6, NO_NEXT, DSTOPTS = (
    0,
    1,
    6,
    17,
    43,
    44,
    50,
    51,
    58,
    59,
    60,
)
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << bit for bit in range(8))

IPV4_DONT_FRAGMENT, IPV4_MORE = 0x4000, 0x2000
IPV6_MORE = 0x0001

# Bytes 12 and 13 of an IPv4 packet from 8.0.0.0/16, and of an IPv6 packet whose source has 86dd as its third
# group, read as an Ethernet frame's type. BPF_PROG_TEST_RUN takes skb->protocol from there, so that such a
# packet also makes sense to the entry for devices without an Ethernet header.
CLIENT4, CLIENT6 = "8.0.1.2", "2001:db8:86dd::2"
OTHER4, OTHER6 = "8.0.1.3", "2001:db8:86dd::3"
LINK_LOCAL6 = "fe80:0:86dd::2"
SERVER4, SERVER6 = "10.0.0.1", "2001:db8::1"

SOURCE_PORT = 40000


def packed(address: str) -> bytes:
    """Return the 16 bytes of the kernel's keys: an IPv4 address as ::ffff:a.b.c.d."""
    parsed = ip_address(address)
    return bytes(10) + b"\xff\xff" + parsed.packed if isinstance(parsed, IPv4Address) else parsed.packed


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    padded = data + bytes(len(data) % 2)
    total = sum(struct.unpack(f">{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ethernet(
    payload: bytes,
    ethertype: int,
    *,
    tags: tuple[int, ...] = (),
    vid: int = 5,
    destination: bytes = b"\x02\0\0\0\0\x01",
) -> bytes:
    """Return a frame; `tags` are the types of its VLAN tags, the outermost first."""
    types = struct.pack(">H", (*tags, ethertype)[0])
    for following in (*tags, ethertype)[1:]:
        types += struct.pack(">HH", vid, following)
    return destination + b"\x02\0\0\0\0\x02" + types + payload


def ipv4(
    payload: bytes,
    protocol: int,
    *,
    source: str = CLIENT4,
    destination: str = SERVER4,
    options: bytes = b"",
    fragment: int = IPV4_DONT_FRAGMENT,
    total_length: int | None = None,
    version_ihl: int | None = None,
) -> bytes:
    """Return an IPv4 packet; `fragment` is the whole field: flags and offset in 8-byte units."""
    first = version_ihl if version_ihl is not None else 0x45 + len(options) // 4
    length = total_length if total_length is not None else 20 + len(options) + len(payload)
    head = struct.pack(">BBHHHBBH", first, 0, length, 1, fragment, 64, protocol, 0)
    head += IPv4Address(source).packed + IPv4Address(destination).packed + options
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload


def ipv6(
    payload: bytes,
    next_header: int,
    *,
    source: str = CLIENT6,
    destination: str = SERVER6,
    payload_length: int | None = None,
    version: int = 6,
) -> bytes:
    """Return an IPv6 packet; extension headers are part of `payload` (see `extended`)."""
    length = payload_length if payload_length is not None else len(payload)
    head = struct.pack(">IHBB", version << 28, length, next_header, 64)
    return head + IPv6Address(source).packed + IPv6Address(destination).packed + payload


def _filling(length: int) -> bytes:
    """Return options of the type 1e (an experiment; unknown ones are skipped). Linux takes no long PadN."""
    options = b""
    while length - len(options) > 1:
        size = min(length - len(options), 257)
        options += struct.pack(">BB", 0x1E, size - 2) + bytes(size - 2)
    return options + bytes(length - len(options))


def extension(kind: int, next_header: int, *, length: int = 8, fragment: int = 0) -> bytes:
    """Return one IPv6 extension header of `length` bytes, or a fragment header with its field `fragment`."""
    if kind == FRAGMENT:
        return struct.pack(">BBHI", next_header, 0, fragment, 1)
    if kind == AH:
        return struct.pack(">BB", next_header, length // 4 - 2) + bytes(length - 2)
    if kind == ROUTING:  # type 253 (an experiment), no segments left
        return struct.pack(">BBBB", next_header, length // 8 - 1, 253, 0) + bytes(length - 4)
    return struct.pack(">BB", next_header, length // 8 - 1) + _filling(length - 2)


def extended(payload: bytes, protocol: int, *kinds: int | tuple[int, int]) -> tuple[bytes, int]:
    """Put extension headers before `payload`; return all of it and what the IPv6 header's next is.

    A kind with a number beside it has that length, or for FRAGMENT that field.
    """
    following = protocol
    for entry in reversed(kinds):
        kind, number = entry if isinstance(entry, tuple) else (entry, 0)
        if kind == FRAGMENT:
            header = extension(kind, following, fragment=number)
        else:
            header = extension(kind, following, length=number or (12 if kind == AH else 8))
        payload, following = header + payload, kind
    return payload, following


def _summed(segment: bytes, protocol: int, addresses: tuple[str, str], place: int) -> bytes:
    source, destination = (ip_address(address).packed for address in addresses)
    pseudo = source + destination + struct.pack(">II", len(segment), protocol)
    value = checksum(pseudo + segment) or 0xFFFF
    return segment[:place] + struct.pack(">H", value) + segment[place + 2 :]


def tcp(
    port: int,
    flags: int,
    payload: bytes = b"",
    addresses: tuple[str, str] = (CLIENT4, SERVER4),
    *,
    source_port: int = SOURCE_PORT,
    numbers: tuple[int, int] = (1, 0),
) -> bytes:
    """Return a TCP segment without options; `numbers` are its sequence and acknowledgement number."""
    head = struct.pack(">HHIIBBHHH", source_port, port, *numbers, 5 << 4, flags, 65535, 0, 0)
    return _summed(head + payload, TCP, addresses, 16)


def udp(
    port: int,
    payload: bytes = b"",
    addresses: tuple[str, str] = (CLIENT4, SERVER4),
    *,
    length: int | None = None,
) -> bytes:
    """Return a UDP datagram; `length` is what its header claims."""
    claimed = length if length is not None else 8 + len(payload)
    head = struct.pack(">HHHH", SOURCE_PORT, port, claimed, 0)
    return _summed(head + payload, UDP, addresses, 6)
