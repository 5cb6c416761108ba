# SPDX-License-Identifier: MIT
"""Ethernet frames with one plain packet in them, for a program that reads headers and no checksums."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from spale_core.model import PacketKind, Protocol

if TYPE_CHECKING:
    from spale_core.model import Address

_SYN, _ACK = 0x02, 0x10
_FLAGS = {PacketKind.SYN: _SYN, PacketKind.ACK: _ACK}
_HOPS = 64
_DONT_FRAGMENT = 0x4000

# All checksums are left zero.
_ETHERNET = struct.Struct(">12xH")
_IPV4 = struct.Struct(">BxHHHBBxx4s4s")
_IPV6 = struct.Struct(">IHBB16s16s")
_TCP = struct.Struct(">HHIIBBHxxxx")
_UDP = struct.Struct(">HHHxx")
_TCP_WORDS = _TCP.size // 4
_WINDOW = 65535


def frame(kind: PacketKind, source: tuple[Address, int], destination: tuple[Address, int]) -> bytes:
    """Return a frame from one address and port to another one of the same family."""
    (from_address, from_port), (to_address, to_port) = source, destination
    if kind is PacketKind.UDP:
        return _packet(from_address, to_address, Protocol.UDP, _UDP.pack(from_port, to_port, _UDP.size))
    segment = _TCP.pack(from_port, to_port, 1, 1, _TCP_WORDS << 4, _FLAGS[kind], _WINDOW)
    return _packet(from_address, to_address, Protocol.TCP, segment)


def _packet(source: Address, destination: Address, protocol: Protocol, payload: bytes) -> bytes:
    addresses = source.packed, destination.packed
    if isinstance(source, IPv4Address):
        length = _IPV4.size + len(payload)
        header = _IPV4.pack(0x45, length, 0, _DONT_FRAGMENT, _HOPS, protocol, *addresses)
        return _ETHERNET.pack(0x0800) + header + payload
    header = _IPV6.pack(6 << 28, len(payload), protocol, _HOPS, *addresses)
    return _ETHERNET.pack(0x86DD) + header + payload
