# SPDX-License-Identifier: MIT
"""Loaded programs: what they are, and running them on a packet of ours."""

from __future__ import annotations

import ctypes
from ctypes import c_char, c_char_p, c_int, c_size_t, c_uint8, c_uint32, c_uint64, c_void_p
from typing import NamedTuple

from spale_bpf.libbpf.native import call

_NAME_LENGTH = 16
_MAP_IDS_MAX = 64
_DATA_OUT_EXTRA = 256


class _TestRunOpts(ctypes.Structure):
    """`struct bpf_test_run_opts`."""

    _fields_ = (
        ("sz", c_size_t),
        ("data_in", c_char_p),
        ("data_out", c_void_p),
        ("data_size_in", c_uint32),
        ("data_size_out", c_uint32),
        ("ctx_in", c_char_p),
        ("ctx_out", c_void_p),
        ("ctx_size_in", c_uint32),
        ("ctx_size_out", c_uint32),
        ("retval", c_uint32),
        ("repeat", c_int),
        ("duration", c_uint32),
        ("flags", c_uint32),
        ("cpu", c_uint32),
        ("batch_size", c_uint32),
    )


class _ProgInfo(ctypes.Structure):
    """The beginning of `struct bpf_prog_info`, which is all that Linux 4.18 has."""

    _fields_ = (
        ("type", c_uint32),
        ("id", c_uint32),
        ("tag", c_uint8 * 8),
        ("jited_prog_len", c_uint32),
        ("xlated_prog_len", c_uint32),
        ("jited_prog_insns", c_uint64),
        ("xlated_prog_insns", c_uint64),
        ("load_time", c_uint64),
        ("created_by_uid", c_uint32),
        ("nr_map_ids", c_uint32),
        ("map_ids", c_uint64),
        ("name", c_char * _NAME_LENGTH),
    )


class ProgramInfo(NamedTuple):
    """A loaded program; the kernel cuts names at 15 characters."""

    id: int
    name: str
    map_ids: tuple[int, ...]


class RunResult(NamedTuple):
    """What a program did to a packet; `duration_ns` is the average of the repetitions."""

    retval: int
    data_out: bytes
    duration_ns: int


def prog_test_run(fd: int, data: bytes, repeat: int = 1, ctx: bytes = b"") -> RunResult:
    """Run the program on the packet `data`, `repeat` times, with `ctx` (if any) as its context.

    Raise LibbpfError, such as EINVAL for a packet that is shorter than an Ethernet header.
    """
    data_out = ctypes.create_string_buffer(len(data) + _DATA_OUT_EXTRA)
    options = _TestRunOpts(
        sz=ctypes.sizeof(_TestRunOpts),
        data_in=data,
        data_out=ctypes.addressof(data_out),
        data_size_in=len(data),
        data_size_out=len(data_out),
        ctx_in=ctx or None,
        ctx_size_in=len(ctx),
        repeat=repeat,
    )
    call("test run of a program", "bpf_prog_test_run_opts", fd, ctypes.byref(options))
    return RunResult(options.retval, data_out.raw[: options.data_size_out], options.duration)


def prog_get_fd_by_id(program_id: int) -> int:
    """Return a descriptor, for the caller to close, of the program with this id.

    Raise LibbpfError: ENOENT if it is gone, EPERM without CAP_SYS_ADMIN.
    """
    return call(f"program with id {program_id}", "bpf_prog_get_fd_by_id", program_id)


def prog_info(fd: int) -> ProgramInfo:
    """Return id, name and map ids of the program behind a descriptor. Raise LibbpfError."""
    ids = (c_uint32 * _MAP_IDS_MAX)()
    info = _ProgInfo(nr_map_ids=_MAP_IDS_MAX, map_ids=ctypes.addressof(ids))
    length = c_uint32(ctypes.sizeof(info))
    call("information on a program", "bpf_obj_get_info_by_fd", fd, ctypes.byref(info), ctypes.byref(length))
    return ProgramInfo(
        id=info.id,
        name=info.name.decode(errors="replace"),
        map_ids=tuple(ids[: info.nr_map_ids]),
    )
