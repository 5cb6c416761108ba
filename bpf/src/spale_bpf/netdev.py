# SPDX-License-Identifier: MIT
"""What drivers say about XDP, over generic netlink (Linux 6.3, include/uapi/linux/netdev.h)."""

from __future__ import annotations

import struct
import sys

from spale_core import netlink

_NETLINK_GENERIC = 16
_GENL_ID_CTRL = 0x10
_HEADER = struct.Struct("=BBxx")

_CTRL_CMD_GETFAMILY = 3
_CTRL_ATTR_FAMILY_ID, _CTRL_ATTR_FAMILY_NAME = 1, 2
_FAMILY = b"netdev\0"

_NETDEV_CMD_DEV_GET = 1
_NETDEV_A_DEV_IFINDEX, _NETDEV_A_DEV_XDP_FEATURES = 1, 3
_NETDEV_XDP_ACT_BASIC = 1


def native_xdp() -> dict[int, bool] | None:
    """Return for each interface of this namespace, by index, whether its driver runs XDP programs.

    None if the kernel does not tell (before 6.3).
    """
    try:
        family = _family()
        if family is None:
            return None
        devices = netlink.dump(_NETLINK_GENERIC, family, _HEADER.pack(_NETDEV_CMD_DEV_GET, 1))
        read = [netlink.attributes(device[_HEADER.size :]) for device in devices]
    except OSError:
        return None
    return {
        _number(found[_NETDEV_A_DEV_IFINDEX]): bool(
            _number(found.get(_NETDEV_A_DEV_XDP_FEATURES, b"")) & _NETDEV_XDP_ACT_BASIC
        )
        for found in read
        if _NETDEV_A_DEV_IFINDEX in found
    }


def _family() -> int | None:
    """Return the number that this kernel has given the family, None if it has none. Raise OSError."""
    request = _HEADER.pack(_CTRL_CMD_GETFAMILY, 1)
    for answer in netlink.dump(_NETLINK_GENERIC, _GENL_ID_CTRL, request):
        found = netlink.attributes(answer[_HEADER.size :])
        if found.get(_CTRL_ATTR_FAMILY_NAME) == _FAMILY:
            return _number(found[_CTRL_ATTR_FAMILY_ID])
    return None


def _number(value: bytes) -> int:
    return int.from_bytes(value, sys.byteorder)
