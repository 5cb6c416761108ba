# SPDX-License-Identifier: MIT
"""Those who notice: sockets behind the server's ports, and one that hears what reaches an interface."""

from __future__ import annotations

import select
import socket
import struct
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spale_core.demo.stage import Namespace

PROTECTED, OPEN, PROTECTED_CLOSED, OPEN_CLOSED, SPA = 22, 8080, 23, 8081, 55555
GROUP = "239.1.2.3"
"""All that come for datagrams have joined it."""

ETH_P_ALL = 0x0003
BUFFER_BYTES = 1 << 22
PACKET_MAX = 1 << 16


class Listeners:
    """Sockets of both families behind ports of the server; of TCP only the kernel answers."""

    def __init__(self, namespace: Namespace, interface: str) -> None:
        """Open them in the namespace, and join the group on its interface."""
        with namespace.inside():
            self.streams = {port: _bound(socket.SOCK_STREAM, port) for port in (PROTECTED, OPEN)}
            self._datagrams = {port: _bound(socket.SOCK_DGRAM, port) for port in (PROTECTED, OPEN, SPA)}
        for sock in self.streams.values():
            sock.listen(4096)
        membership = struct.pack("=4s4si", IPv4Address(GROUP).packed, bytes(4), namespace.index(interface))
        for sock in self._datagrams.values():
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)

    def received(self, port: int) -> list[bytes]:
        """Return the payloads that have come to `port` since the last call."""
        payloads = []
        sock = self._datagrams.get(port)
        while sock and select.select([sock], [], [], 0)[0]:
            payloads.append(sock.recv(PACKET_MAX))
        return payloads

    def close(self) -> None:
        """Close all."""
        for sock in (*self.streams.values(), *self._datagrams.values()):
            sock.close()


def _bound(kind: socket.SocketKind, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6, kind)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind(("", port))
    return sock


class Ear:
    """Hears every frame that reaches an interface."""

    def __init__(self, namespace: Namespace, interface: str) -> None:
        """Begin to listen."""
        with namespace.inside():
            self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK)
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
            self._sock.bind((interface, ETH_P_ALL))

    def heard(self) -> list[bytes]:
        """Return the frames that have come since the last call."""
        frames = []
        while select.select([self._sock], [], [], 0)[0]:
            frame, (_, _, kind, *_) = self._sock.recvfrom(PACKET_MAX)
            if kind != socket.PACKET_OUTGOING:
                frames.append(frame)
        return frames

    def close(self) -> None:
        """Stop listening."""
        self._sock.close()
