# SPDX-License-Identifier: MIT
"""Many elements of a map at once: a system call for thousands where the kernel can (5.6), else for each."""

from __future__ import annotations

import ctypes
import errno
from ctypes import c_uint32
from typing import TYPE_CHECKING

from spale_bpf.libbpf.elements import NO_SUCH_OPERATION, map_delete, map_update
from spale_bpf.libbpf.native import LibbpfError, call

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_BATCH = 4096
"""Elements that one system call changes; a knock waits for it."""


def map_update_all(fd: int, items: Mapping[bytes, bytes]) -> None:
    """Set the values of all keys of `items`.

    Raise LibbpfError, with some of them set; a full map is E2BIG (hash) or ENOSPC (trie).
    """
    keys = list(items)
    for start in range(0, len(keys), _BATCH):
        some = keys[start : start + _BATCH]
        values = b"".join(items[key] for key in some)
        try:
            _call("update of a map", "bpf_map_update_batch", fd, some, values)
        except LibbpfError as error:
            if error.number not in NO_SUCH_OPERATION:
                raise
            for key in some:
                map_update(fd, key, items[key])


def map_delete_all(fd: int, keys: Sequence[bytes]) -> None:
    """Remove all of `keys`; one that is not there is no error. Raise LibbpfError, with some of them gone."""
    for start in range(0, len(keys), _BATCH):
        some = keys[start : start + _BATCH]
        try:
            _call("delete from a map", "bpf_map_delete_batch", fd, some)
        except LibbpfError as error:
            # The kernel stops at the first that is not there.
            if error.number not in (errno.ENOENT, *NO_SUCH_OPERATION):
                raise
            for key in some:
                map_delete(fd, key)


def _call(what: str, function: str, fd: int, keys: Sequence[bytes], *values: bytes) -> None:
    count = c_uint32(len(keys))
    call(what, function, fd, b"".join(keys), *values, ctypes.byref(count), None)
