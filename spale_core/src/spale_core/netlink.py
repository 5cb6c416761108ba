# SPDX-License-Identifier: MIT
"""Lists that the kernel gives over netlink, read by hand: one request, many messages, attributes in them.

pyroute2 could, but importing it takes longer and needs more memory than all else that a daemon imports
(docs/adr/0040, 0050).
"""

from __future__ import annotations

import os
import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_NLM_F_REQUEST = 0x01
_NLM_F_DUMP = 0x300
_NLMSG_ERROR = 2
_NLMSG_DONE = 3

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_STATUS = struct.Struct("=i")
_TYPE_MASK = 0x3FFF
_RECEIVE_MAX = 1 << 16


def dump(protocol: int, kind: int, body: bytes) -> Iterator[bytes]:
    """Ask by a message of type `kind` over the netlink `protocol`; yield the payload of each answer.

    Raise OSError with the kernel's errno if it refuses.
    """
    header = _HEADER.pack(_HEADER.size + len(body), kind, _NLM_F_REQUEST | _NLM_F_DUMP, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as netlink:
        netlink.send(header + body)
        while True:
            received = netlink.recv(_RECEIVE_MAX)
            start = 0
            while start < len(received):
                length, answer, _, _, _ = _HEADER.unpack_from(received, start)
                payload = received[start + _HEADER.size : start + length]
                if answer in (_NLMSG_DONE, _NLMSG_ERROR):
                    _check(payload)
                    return
                yield payload
                start += _aligned(length)


def attribute(kind: int, value: bytes) -> bytes:
    """Return one attribute, padded."""
    packed = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value
    return packed.ljust(_aligned(len(packed)), b"\0")


def attributes(data: bytes) -> dict[int, bytes]:
    """Return the values of the attributes in `data` by their type."""
    found = {}
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        found[kind & _TYPE_MASK] = data[_ATTRIBUTE.size : length]
        # A length of zero would never come to an end.
        data = data[max(_ATTRIBUTE.size, _aligned(length)) :]
    return found


def _check(payload: bytes) -> None:
    (status,) = _STATUS.unpack_from(payload)
    if status:
        raise OSError(-status, os.strerror(-status))


def _aligned(length: int) -> int:
    return (length + 3) & ~3
