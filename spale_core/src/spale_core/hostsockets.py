# SPDX-License-Identifier: MIT
"""The TCP connections of this host to some of its ports, as its socket table has them (sock_diag(7)).

Only what ends here is in it: connections that are forwarded, or that end in a container, are not. States and
structures are those of the kernel's include/net/tcp_states.h and include/uapi/linux/inet_diag.h.
"""

from __future__ import annotations

import socket
import struct
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from spale_core import netlink
from spale_core.errors import UnavailableError
from spale_core.model import Connection, Protocol, Service, Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_ESTABLISHED, _SYN_SENT, _SYN_RECV, _FIN_WAIT1, _FIN_WAIT2 = (1 << state for state in range(1, 6))
_CLOSE_WAIT, _LAST_ACK, _CLOSING = (1 << state for state in (8, 9, 11))

ESTABLISHED: Final = _ESTABLISHED | _FIN_WAIT1 | _FIN_WAIT2 | _CLOSE_WAIT | _LAST_ACK | _CLOSING
"""States of a connection that stands, even if one side has said its last word."""

ALIVE: Final = ESTABLISHED | _SYN_SENT | _SYN_RECV
"""The same, and those of one that begins; not TIME_WAIT and CLOSE, which are what is left of one."""

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_REQ_BYTECODE = 1
_REQUEST = struct.Struct("=BBxxI48x")

_FAMILY = 0
_IDENTITY = slice(4, 44)
_PORTS = struct.Struct(">HH")
_OURS, _PEER, _IFINDEX = 4, 20, 36
"""Where the identity has, behind the ports, our address, the peer's, and the interface."""
_INDEX = struct.Struct("=I")
_ADDRESS_LENGTHS = {socket.AF_INET: 4, socket.AF_INET6: 16}

_BC_JUMP, _BC_PORT_GE, _BC_PORT_LE = 1, 2, 3
_STEP = struct.Struct("=BBH")
_COMPARISON_LENGTH = 2 * _STEP.size
_RANGE_LENGTH = 2 * _COMPARISON_LENGTH + _STEP.size
_MAX_RANGES = 1000
"""Beyond it the offsets in the kernel's little language do not fit; then it lists all ports."""


class HostSockets:
    """The host's connections to protected ports; asked again and again, so it remembers what it has read."""

    def __init__(self) -> None:
        """Begin with nothing read."""
        self._read: dict[bytes, Connection] = {}

    def connections(self, services: Iterable[Service], states: int = ALIVE) -> set[Connection]:
        """Return the connections to the TCP ports of `services` that are in one of `states`.

        Raise UnavailableError if the kernel does not tell.
        """
        ports = sorted(service.port for service in services if service.protocol is Protocol.TCP)
        read = {}
        for family in _ADDRESS_LENGTHS if ports else ():
            for identity in _identities(family, states, ports):
                known = self._read.get(identity)
                read[identity] = known or _connection(identity)
        self._read = read
        wanted = set(ports)
        return {connection for connection in read.values() if connection.service.port in wanted}


def _identities(family: int, states: int, ports: Sequence[int]) -> Iterator[bytes]:
    """Yield the bytes that name a connection: family, then `struct inet_diag_sockid` up to the interface."""
    request = _REQUEST.pack(family, socket.IPPROTO_TCP, states)
    ranges = _ranges(ports)
    if len(ranges) <= _MAX_RANGES:
        request += netlink.attribute(_REQ_BYTECODE, _bytecode(ranges))
    try:
        for message in netlink.dump(_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, request):
            yield message[_FAMILY : _FAMILY + 1] + message[_IDENTITY]
    except OSError as error:
        raise UnavailableError(f"the host's TCP connections (sock_diag): {error.strerror}") from error


def _connection(identity: bytes) -> Connection:
    """Return the connection of these bytes, an IPv4-mapped one as IPv4."""
    length = _ADDRESS_LENGTHS[socket.AddressFamily(identity[0])]
    our_port, peer_port = _PORTS.unpack_from(identity, 1)
    ours, peer = (identity[1 + start : 1 + start + length] for start in (_OURS, _PEER))
    (ifindex,) = _INDEX.unpack_from(identity, 1 + _IFINDEX)
    return Connection(
        source=Source.arrived(ip_address(peer), ifindex),
        service=Service(Protocol.TCP, our_port),
        destination=Source(ip_address(ours)).address,
        source_port=peer_port,
    )


def _ranges(ports: Sequence[int]) -> list[tuple[int, int]]:
    """Return sorted `ports` as first and last of each run."""
    ranges: list[tuple[int, int]] = []
    for port in ports:
        if ranges and port <= ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], port)
        else:
            ranges.append((port, port))
    return ranges


def _bytecode(ranges: Sequence[tuple[int, int]]) -> bytes:
    """Return the kernel's filter for local ports in one of `ranges`.

    Each step says how many bytes to go on, if it holds and if not; who comes to the very end is listed, and
    who goes beyond it is not.
    """
    code = b""
    for left, (first, last) in zip(reversed(range(len(ranges))), ranges, strict=True):
        to_next, to_end = _RANGE_LENGTH, left * _RANGE_LENGTH + _STEP.size
        to_next += 0 if left else _STEP.size
        code += _STEP.pack(_BC_PORT_GE, _COMPARISON_LENGTH, to_next) + _STEP.pack(0, 0, first)
        code += _STEP.pack(_BC_PORT_LE, _COMPARISON_LENGTH, to_next - _COMPARISON_LENGTH)
        code += _STEP.pack(0, 0, last) + _STEP.pack(_BC_JUMP, _STEP.size, to_end)
    return code
