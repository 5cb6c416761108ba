# SPDX-License-Identifier: MIT
"""The filters on an interface's clsact discipline, listed over netlink.

libbpf can only ask for a filter whose place it is told; one of the original program has to be found first.
"""

from __future__ import annotations

import errno
import socket
import struct
from typing import TYPE_CHECKING

from attrs import frozen

from spale_bpf.libbpf import ClsactFilter
from spale_core import netlink
from spale_core.errors import DataplaneError

if TYPE_CHECKING:
    from collections.abc import Iterator

_RTM_GETTFILTER = 46
_ETH_P_ALL = 0x0003

INGRESS = 0xFFFFFFF2
EGRESS = 0xFFFFFFF3
"""The two ends of clsact: TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS or TC_H_MIN_EGRESS)."""

_TCA_KIND = 1
_TCA_OPTIONS = 2
_TCA_CHAIN = 11
_TCA_BPF_NAME = 7
_TCA_BPF_ID = 11

_TCMSG = struct.Struct("=BxxxiIII")
_NUMBER = struct.Struct("=I")

_NO_DISCIPLINE = (errno.EINVAL, errno.ENOENT)
"""What the kernel says where there is no clsact, and so no filter."""


@frozen
class Filter:
    """A filter; `name` is what its maker called its program, `program_id` is 0 if it has none."""

    place: ClsactFilter
    kind: str
    every_protocol: bool
    program_id: int = 0
    name: str = ""


def all_filters(ifindex: int, end: int = INGRESS) -> list[Filter]:
    """Return the filters of any kind on one end, in the order in which packets meet them.

    Those in chains other than the first, which a packet meets only if a filter sends it there, are left out.
    Empty where there is no clsact discipline. Raise DataplaneError.
    """
    dumped = _dump(ifindex, end)
    return [
        _filter(info, handle, attributes)
        for info, handle, attributes in dumped
        if not any(attributes.get(_TCA_CHAIN, b""))
    ]


def bpf_filters(ifindex: int, end: int = INGRESS) -> list[Filter]:
    """Return those that run a BPF program on every protocol, in the same order. Raise DataplaneError."""
    return [found for found in all_filters(ifindex, end) if found.program_id and found.every_protocol]


def has_filters(ifindex: int, end: int) -> bool:
    """Return whether any filter, in whatever chain, hangs on one end. Raise DataplaneError."""
    return any(True for _ in _dump(ifindex, end))


def _filter(info: int, handle: int, attributes: dict[int, bytes]) -> Filter:
    kind = _text(attributes.get(_TCA_KIND, b""))
    options = netlink.attributes(attributes.get(_TCA_OPTIONS, b"")) if kind == "bpf" else {}
    (program_id,) = _NUMBER.unpack(options.get(_TCA_BPF_ID, bytes(_NUMBER.size)))
    every_protocol = socket.ntohs(info & 0xFFFF) == _ETH_P_ALL
    name = _text(options.get(_TCA_BPF_NAME, b""))
    return Filter(ClsactFilter(info >> 16, handle), kind, every_protocol, program_id, name)


def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode(errors="replace")


def _dump(ifindex: int, end: int) -> Iterator[tuple[int, int, dict[int, bytes]]]:
    """Yield priority and protocol, handle and attributes of every filter on one end."""
    request = _TCMSG.pack(socket.AF_UNSPEC, ifindex, 0, end, 0)
    try:
        for message in netlink.dump(socket.NETLINK_ROUTE, _RTM_GETTFILTER, request):
            _, _, handle, _, info = _TCMSG.unpack_from(message)
            # The kernel lists each chain of filters once more by a message without a handle.
            if handle:
                yield info, handle, netlink.attributes(message[_TCMSG.size :])
    except OSError as error:
        if error.errno not in _NO_DISCIPLINE:
            raise DataplaneError(f"list of TC filters: {error.strerror}") from error
