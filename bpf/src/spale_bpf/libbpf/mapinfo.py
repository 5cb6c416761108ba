# SPDX-License-Identifier: MIT
"""Maps that somebody else has made: found by id, and what they are."""

from __future__ import annotations

import ctypes
from ctypes import c_char, c_uint32
from typing import NamedTuple

from spale_bpf.libbpf.native import call

_NAME_LENGTH = 16


class _MapInfo(ctypes.Structure):
    """The beginning of `struct bpf_map_info`."""

    _fields_ = (
        ("type", c_uint32),
        ("id", c_uint32),
        ("key_size", c_uint32),
        ("value_size", c_uint32),
        ("max_entries", c_uint32),
        ("map_flags", c_uint32),
        ("name", c_char * _NAME_LENGTH),
    )


class MapInfo(NamedTuple):
    """A map; sizes in bytes. The kernel cuts names at 15 characters."""

    name: str
    key_size: int
    value_size: int


def map_get_fd_by_id(map_id: int) -> int:
    """Return a descriptor, for the caller to close, of the map with this id.

    Raise LibbpfError: ENOENT if it is gone, EPERM without CAP_SYS_ADMIN.
    """
    return call(f"map with id {map_id}", "bpf_map_get_fd_by_id", map_id)


def map_info(fd: int) -> MapInfo:
    """Return name and sizes of the map behind a descriptor. Raise LibbpfError."""
    info = _MapInfo()
    length = c_uint32(ctypes.sizeof(info))
    call("information on a map", "bpf_obj_get_info_by_fd", fd, ctypes.byref(info), ctypes.byref(length))
    return MapInfo(info.name.decode(errors="replace"), info.key_size, info.value_size)
