# SPDX-License-Identifier: MIT
"""Names for maps and programs in a bpffs, which keep them alive without a process."""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING

from spale_bpf.libbpf.native import LibbpfError, call

if TYPE_CHECKING:
    from pathlib import Path

_BPF_FS_MAGIC = 0xCAFE4A11
_STATFS_BYTES = 512
"""More than `struct statfs` has; it begins with the type of the file system, a long."""


def pin(descriptor: int, path: Path) -> None:
    """Give what is behind a descriptor a name. Raise LibbpfError: EEXIST, EPERM outside of a bpffs."""
    call(f"pin {path}", "bpf_obj_pin", descriptor, os.fsencode(path))


def get_pinned(path: Path) -> int:
    """Return a descriptor, for the caller to close, of what is pinned there. Raise LibbpfError."""
    return call(f"pin {path}", "bpf_obj_get", os.fsencode(path))


def is_bpffs(path: Path) -> bool:
    """Tell whether what is at `path` lies in a bpffs; no if there is nothing."""
    status = ctypes.create_string_buffer(_STATFS_BYTES)
    if ctypes.CDLL(None).statfs(os.fsencode(path), status) != 0:
        return False
    return ctypes.c_ulong.from_buffer(status).value & 0xFFFFFFFF == _BPF_FS_MAGIC


def mount_bpffs(path: Path) -> None:
    """Mount a bpffs that only root may enter. Raise LibbpfError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"bpf", os.fsencode(path), b"bpf", ctypes.c_ulong(0), b"mode=0700") != 0:
        raise LibbpfError(f"mount of a bpffs on {path}", ctypes.get_errno())
