# SPDX-License-Identifier: MIT
"""Maps and programs that come out of no object file: made and loaded one by one."""

from __future__ import annotations

import ctypes
import errno
import mmap
from ctypes import c_int, c_size_t, c_uint32, c_uint64, c_void_p

from spale_bpf.libbpf.native import LibbpfError, call

LICENSE = b"GPL"
"""What the objects say, too; the kernel knows this spelling of GPL-2.0-only."""

INSTRUCTION = 8
"""Bytes of an instruction; some take two of them."""

_LOG_SIZE = 4 << 20
"""Bytes for the verifier's log; the pages stay untouched unless a program is refused."""

_LOG_LINES = 40
"""How many of the last lines of the verifier's log an error quotes: the reason is at the end."""


class VerifierLog:
    """Room for what the verifier says, and where that is."""

    size = _LOG_SIZE

    def __init__(self) -> None:
        """Make room."""
        self._text = mmap.mmap(-1, _LOG_SIZE)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self._text))

    def lines(self) -> list[str]:
        """Return the last lines of what was said."""
        end = self._text.find(b"\0")
        text = self._text[: end if end >= 0 else _LOG_SIZE].decode(errors="replace")
        return text.splitlines()[-_LOG_LINES:]


class _MapOpts(ctypes.Structure):
    """`struct bpf_map_create_opts` as libbpf 0.8 has it."""

    _fields_ = (
        ("sz", c_size_t),
        ("btf_fd", c_uint32),
        ("btf_key_type_id", c_uint32),
        ("btf_value_type_id", c_uint32),
        ("btf_vmlinux_value_type_id", c_uint32),
        ("inner_map_fd", c_uint32),
        ("map_flags", c_uint32),
        ("map_extra", c_uint64),
        ("numa_node", c_uint32),
        ("map_ifindex", c_uint32),
    )


class _LoadOpts(ctypes.Structure):
    """`struct bpf_prog_load_opts` as libbpf 0.8 has it."""

    _fields_ = (
        ("sz", c_size_t),
        ("attempts", c_int),
        ("expected_attach_type", c_uint32),
        ("prog_btf_fd", c_uint32),
        ("prog_flags", c_uint32),
        ("prog_ifindex", c_uint32),
        ("kern_version", c_uint32),
        ("attach_btf_id", c_uint32),
        ("attach_prog_fd", c_uint32),
        ("attach_btf_obj_fd", c_uint32),
        ("fd_array", c_void_p),
        ("func_info", c_void_p),
        ("func_info_cnt", c_uint32),
        ("func_info_rec_size", c_uint32),
        ("line_info", c_void_p),
        ("line_info_cnt", c_uint32),
        ("line_info_rec_size", c_uint32),
        ("log_level", c_uint32),
        ("log_size", c_uint32),
        ("log_buf", c_void_p),
    )


def map_create(name: str, shape: tuple[int, int, int, int, int]) -> int:
    """Make a map of `shape`: kind, sizes of key and value, entries, flags. Return its descriptor.

    Raise LibbpfError.
    """
    kind, key_size, value_size, entries, flags = shape
    options = _MapOpts(sz=ctypes.sizeof(_MapOpts), map_flags=flags)
    made = (kind, name.encode(), key_size, value_size, entries, ctypes.byref(options))
    return call(f"map {name}", "bpf_map_create", *made)


def prog_load(kind: int, name: str, code: bytes, flags: int = 0) -> int:
    """Load a program of the `kind` BPF_PROG_TYPE_*; return its descriptor.

    Raise LibbpfError, with the end of the verifier's log if the kernel refuses it.
    """
    log = VerifierLog()
    options = _LoadOpts(sz=ctypes.sizeof(_LoadOpts), prog_flags=flags, log_size=log.size, log_buf=log.address)
    program = (kind, name.encode(), LICENSE, code, len(code) // INSTRUCTION, ctypes.byref(options))
    what = f"{name}: the kernel refuses to load it"
    try:
        return call(what, "bpf_prog_load", *program)
    except LibbpfError as error:
        if error.number == errno.EPERM:
            raise
        raise LibbpfError(what, error.number, "\n".join(log.lines())) from None
