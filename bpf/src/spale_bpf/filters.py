# SPDX-License-Identifier: MIT
"""The BPF filters on an interface's clsact discipline, listed over a bare netlink socket.

libbpf can only ask for a filter whose place it is told; one of the original program has to be found first.
pyroute2 could, but importing it would take longer than everything else that a start does (docs/adr/0040).
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import TYPE_CHECKING

from attrs import frozen

from spale_bpf.libbpf import ClsactFilter
from spale_core.errors import DataplaneError

if TYPE_CHECKING:
    from collections.abc import Iterator

_RTM_GETTFILTER = 46
_NLM_F_REQUEST = 0x01
_NLM_F_DUMP = 0x300
_NLMSG_ERROR = 2
_NLMSG_DONE = 3
_ETH_P_ALL = 0x0003

INGRESS = 0xFFFFFFF2
EGRESS = 0xFFFFFFF3
"""The two ends of clsact: TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS or TC_H_MIN_EGRESS)."""

_TCA_KIND = 1
_TCA_OPTIONS = 2
_TCA_BPF_NAME = 7
_TCA_BPF_ID = 11
_TYPE_MASK = 0x3FFF

_HEADER = struct.Struct("=IHHII")
_TCMSG = struct.Struct("=BxxxiIII")
_ATTRIBUTE = struct.Struct("=HH")
_NUMBER = struct.Struct("=I")
_STATUS = struct.Struct("=i")
_RECEIVE_MAX = 1 << 16


@frozen
class Filter:
    """A filter that runs a BPF program on every protocol; `name` is what its maker called it."""

    place: ClsactFilter
    program_id: int
    name: str


def bpf_filters(ifindex: int, end: int = INGRESS) -> list[Filter]:
    """Return the BPF filters on one end, in the order in which packets meet them.

    Empty where there is no clsact discipline. Raise DataplaneError.
    """
    found = []
    for info, handle, attributes in _dump(ifindex, end):
        protocol = socket.ntohs(info & 0xFFFF)
        options = _attributes(attributes.get(_TCA_OPTIONS, b""))
        if attributes.get(_TCA_KIND) != b"bpf\0" or protocol != _ETH_P_ALL or _TCA_BPF_ID not in options:
            continue
        (program_id,) = _NUMBER.unpack(options[_TCA_BPF_ID])
        name = options.get(_TCA_BPF_NAME, b"").rstrip(b"\0").decode(errors="replace")
        found.append(Filter(ClsactFilter(info >> 16, handle), program_id, name))
    return found


def first_place(ifindex: int, end: int = INGRESS) -> ClsactFilter | None:
    """Return where the filter, of any kind, is that packets meet first, or None. Raise DataplaneError."""
    return next((ClsactFilter(info >> 16, handle) for info, handle, _ in _dump(ifindex, end)), None)


def _dump(ifindex: int, end: int) -> Iterator[tuple[int, int, dict[int, bytes]]]:
    """Yield priority and protocol, handle and attributes of every filter on one end."""
    body = _TCMSG.pack(socket.AF_UNSPEC, ifindex, 0, end, 0)
    request = (
        _HEADER.pack(_HEADER.size + len(body), _RTM_GETTFILTER, _NLM_F_REQUEST | _NLM_F_DUMP, 1, 0) + body
    )
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
        netlink.send(request)
        for kind, payload in _messages(netlink):
            if kind in (_NLMSG_DONE, _NLMSG_ERROR):
                _check(payload)
                return
            _, _, handle, _, info = _TCMSG.unpack_from(payload)
            # The kernel lists each chain of filters once more by a message without a handle.
            if handle:
                yield info, handle, _attributes(payload[_TCMSG.size :])


def _messages(netlink: socket.socket) -> Iterator[tuple[int, bytes]]:
    while True:
        received = netlink.recv(_RECEIVE_MAX)
        while received:
            length, kind, _, _, _ = _HEADER.unpack_from(received)
            yield kind, received[_HEADER.size : length]
            received = received[(length + 3) & ~3 :]


def _check(payload: bytes) -> None:
    (status,) = _STATUS.unpack_from(payload)
    if status not in (0, -errno.EINVAL, -errno.ENOENT):
        raise DataplaneError(f"list of TC filters: {os.strerror(-status)}")


def _attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        found[kind & _TYPE_MASK] = data[_ATTRIBUTE.size : length]
        data = data[(length + 3) & ~3 :]
    return found
