# SPDX-License-Identifier: MIT
"""From what recvmsg(2) returns to a datagram: whose it is, and on which interface it came in."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from struct import Struct
from typing import Final

from spale_core.model import Datagram, Source

_IP_PKTINFO: Final = 8  # <linux/in.h>; the socket module does not name it
_PKTINFO4 = Struct("=I4s4s")
_PKTINFO6 = Struct("=16sI")


def arrived(payload: bytes, ancillary: list[tuple[int, int, bytes]], address: tuple[str, int]) -> Datagram:
    """Return the datagram that came from `address`, with what the kernel says beside it."""
    ifindex = _interface(ancillary)
    host = ip_address(address[0].partition("%")[0])
    return Datagram(payload, Source.arrived(host, ifindex), address[1], ifindex)


def _interface(ancillary: list[tuple[int, int, bytes]]) -> int:
    """Return the index of the interface that a datagram came in on, 0 if the kernel does not say."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
            return int(_PKTINFO4.unpack(data)[0])
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            return int(_PKTINFO6.unpack(data)[1])
    return 0
