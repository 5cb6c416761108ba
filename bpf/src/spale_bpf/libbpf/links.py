# SPDX-License-Identifier: MIT
"""What others have attached by a bpf_link. We make none (docs/adr/0041), but have to know them."""

from __future__ import annotations

import ctypes
import errno
import os
from ctypes import c_uint32
from typing import TYPE_CHECKING

from spale_bpf.libbpf.native import LibbpfError, call

if TYPE_CHECKING:
    from collections.abc import Iterator


class _LinkInfo(ctypes.Structure):
    """The beginning of `struct bpf_link_info`."""

    _fields_ = (("type", c_uint32), ("id", c_uint32), ("prog_id", c_uint32))


def links_of(program_id: int) -> list[int]:
    """Return the ids of the links that hold a program.

    Empty where the kernel knows no links (before 5.8) or does not tell (without CAP_SYS_ADMIN).
    """
    try:
        return [link_id for link_id in _link_ids() if _program_of(link_id) == program_id]
    except LibbpfError:
        return []


def _link_ids() -> Iterator[int]:
    following = c_uint32(0)
    while True:
        try:
            call("list of links", "bpf_link_get_next_id", following.value, ctypes.byref(following))
        except LibbpfError as error:
            if error.number == errno.ENOENT:
                return
            raise
        yield following.value


def _program_of(link_id: int) -> int:
    """Return the id of the program that a link holds, 0 if the link is gone meanwhile."""
    try:
        descriptor = call(f"link with id {link_id}", "bpf_link_get_fd_by_id", link_id)
    except LibbpfError as error:
        if error.number == errno.ENOENT:
            return 0
        raise
    info = _LinkInfo()
    length = c_uint32(ctypes.sizeof(info))
    try:
        what = "information on a link"
        call(what, "bpf_obj_get_info_by_fd", descriptor, ctypes.byref(info), ctypes.byref(length))
    finally:
        os.close(descriptor)
    return int(info.prog_id)
