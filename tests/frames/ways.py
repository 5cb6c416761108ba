# SPDX-License-Identifier: MIT
"""What one probe is, and what became of it."""

from __future__ import annotations

import enum
import struct
from ipaddress import ip_address

import packets as p
from attrs import frozen
from listeners import OPEN


@frozen
class Way:
    """Whence and where to one probe goes; `token` is in its payload and in no other's."""

    family: int
    protocol: int
    source: str
    destination: str
    port: int
    token: bytes


class Fate(enum.Enum):
    """What a host does with a probe."""

    TAKEN = "a payload is delivered, or TCP answers"
    COMPLAINED = "there is an ICMP error"
    IGNORED = "nothing at all comes of it"


@frozen
class Seen:
    """What became of a probe: what the server sent to its source, whether a program got its payload."""

    answers: tuple[bytes, ...]
    delivered: bool

    @property
    def fate(self) -> Fate:
        """What that says about the server."""
        if self.delivered or any(is_tcp(packet) for packet in self.answers):
            return Fate.TAKEN
        return Fate.COMPLAINED if self.answers else Fate.IGNORED


def answers(packet: bytes, way: Way) -> bool:
    """Tell whether a packet goes to the probe's source, perhaps by a route, and not from another port."""
    destination = ip_address(packet[16:20] if packet[0] >> 4 == 4 else packet[24:40])
    routed = ip_address(way.source).packed in packet[16:80] and not destination.is_multicast
    elsewhere = struct.pack(">HH", OPEN, p.SOURCE_PORT)
    return routed and (way.port == OPEN or elsewhere not in packet)


def is_tcp(packet: bytes) -> bool:
    """Tell whether an IP packet carries TCP right behind its header."""
    return (packet[9] if packet[0] >> 4 == 4 else packet[6]) == p.TCP
