# SPDX-License-Identifier: MIT
"""Hanging programs on interfaces: TCX, a clsact filter, XDP. Never a bpf_link (docs/adr/0041)."""

from __future__ import annotations

import ctypes
from ctypes import c_int, c_size_t, c_uint8, c_uint32

from attrs import frozen

from spale_bpf.libbpf.native import call

BPF_TCX_INGRESS = 46
BPF_F_REPLACE = 1 << 2
BPF_F_BEFORE = 1 << 3

XDP_FLAGS_UPDATE_IF_NOEXIST = 1 << 0
XDP_FLAGS_SKB_MODE = 1 << 1
XDP_FLAGS_DRV_MODE = 1 << 2
XDP_FLAGS_REPLACE = 1 << 4

_XDP_ATTACHED_DRV = 1
_XDP_ATTACHED_SKB = 2
_XDP_ATTACHED_HW = 3

_BPF_TC_INGRESS = 1 << 0
_BPF_TC_EGRESS = 1 << 1
_BPF_TC_F_REPLACE = 1 << 0
_TCX_MAX = 64
"""How many programs the kernel lets hang in one chain (BPF_MPROG_MAX)."""


class _AttachOpts(ctypes.Structure):
    """`struct bpf_prog_attach_opts` as libbpf 1.1 has it."""

    _fields_ = (("sz", c_size_t), ("flags", c_uint32), ("replace_prog_fd", c_int))


class _TcHook(ctypes.Structure):
    """`struct bpf_tc_hook`."""

    _fields_ = (("sz", c_size_t), ("ifindex", c_int), ("attach_point", c_int), ("parent", c_uint32))


class _TcOpts(ctypes.Structure):
    """`struct bpf_tc_opts`."""

    _fields_ = (
        ("sz", c_size_t),
        ("prog_fd", c_int),
        ("flags", c_uint32),
        ("prog_id", c_uint32),
        ("handle", c_uint32),
        ("priority", c_uint32),
    )


class _XdpAttachOpts(ctypes.Structure):
    """`struct bpf_xdp_attach_opts`."""

    _fields_ = (("sz", c_size_t), ("old_prog_fd", c_int))


class _XdpQueryOpts(ctypes.Structure):
    """`struct bpf_xdp_query_opts` as libbpf 1.1 has it."""

    _fields_ = (
        ("sz", c_size_t),
        ("prog_id", c_uint32),
        ("drv_prog_id", c_uint32),
        ("hw_prog_id", c_uint32),
        ("skb_prog_id", c_uint32),
        ("attach_mode", c_uint8),
    )


@frozen
class ClsactFilter:
    """The place of a filter on a device's ingress: priority and handle name it for good."""

    priority: int
    handle: int


@frozen
class XdpPrograms:
    """Ids of the XDP programs on a device, 0 for none."""

    native: int
    generic: int
    offloaded: int


def prog_attach(fd: int, ifindex: int, replace_fd: int | None = None) -> None:
    """Hang a program into the TCX ingress chain: first, or in the very place of `replace_fd`.

    Raise LibbpfError, such as EEXIST if it hangs there, EBUSY if the one to replace belongs to a link.
    """
    options = _AttachOpts(sz=ctypes.sizeof(_AttachOpts), flags=BPF_F_BEFORE)
    if replace_fd is not None:
        options.flags = BPF_F_REPLACE
        options.replace_prog_fd = replace_fd
    call("TCX attach", "bpf_prog_attach_opts", fd, ifindex, BPF_TCX_INGRESS, ctypes.byref(options))


def prog_detach(fd: int, ifindex: int) -> None:
    """Take a program out of the TCX ingress chain. Raise LibbpfError (ENOENT if it is not in it)."""
    call("TCX detach", "bpf_prog_detach2", fd, ifindex, BPF_TCX_INGRESS)


def prog_query(ifindex: int) -> tuple[int, ...]:
    """Return the ids of the TCX ingress chain, first to last.

    Raise LibbpfError: EINVAL where the kernel has no TCX (before 6.6).
    """
    ids = (c_uint32 * _TCX_MAX)()
    count = c_uint32(_TCX_MAX)
    flags = c_uint32()
    call(
        "TCX query",
        "bpf_prog_query",
        ifindex,
        BPF_TCX_INGRESS,
        0,
        ctypes.byref(flags),
        ids,
        ctypes.byref(count),
    )
    return tuple(ids[: count.value])


def tc_hook_create(ifindex: int) -> None:
    """Give the device a clsact queueing discipline. Raise LibbpfError (EEXIST if it has one)."""
    call("clsact", "bpf_tc_hook_create", ctypes.byref(_hook(ifindex)))


def tc_hook_destroy(ifindex: int) -> None:
    """Remove the clsact discipline with all that hangs in it, both ways. Raise LibbpfError."""
    hook = _TcHook(sz=ctypes.sizeof(_TcHook), ifindex=ifindex, attach_point=_BPF_TC_INGRESS | _BPF_TC_EGRESS)
    call("removal of clsact", "bpf_tc_hook_destroy", ctypes.byref(hook))


def tc_attach(fd: int, ifindex: int, place: ClsactFilter, *, exclusive: bool = False) -> None:
    """Put a program into the filter at `place`, in place of the one that is there (NLM_F_REPLACE).

    With `exclusive` only where none is. Raise LibbpfError: EEXIST if one is; EINVAL if the priority is
    taken by filters of another kind or protocol.
    """
    options = _options(place)
    options.prog_fd = fd
    options.flags = 0 if exclusive else _BPF_TC_F_REPLACE
    call("clsact attach", "bpf_tc_attach", ctypes.byref(_hook(ifindex)), ctypes.byref(options))


def tc_detach(ifindex: int, place: ClsactFilter) -> None:
    """Remove the filter at `place`. Raise LibbpfError (ENOENT if there is none)."""
    options = _options(place)
    call("clsact detach", "bpf_tc_detach", ctypes.byref(_hook(ifindex)), ctypes.byref(options))


def tc_query(ifindex: int, place: ClsactFilter) -> int:
    """Return the id of the program in the filter at `place`.

    Raise LibbpfError: ENOENT without such a filter, EINVAL without clsact.
    """
    options = _options(place)
    call("clsact query", "bpf_tc_query", ctypes.byref(_hook(ifindex)), ctypes.byref(options))
    return int(options.prog_id)


def xdp_attach(fd: int, ifindex: int, flags: int, replace_fd: int | None = None) -> None:
    """Put an XDP program on a device; `flags` are XDP_FLAGS_*.

    With `replace_fd` only in place of exactly that program (Linux 5.7). Raise LibbpfError: EBUSY if another
    one is there, EOPNOTSUPP if the driver knows no native XDP, ERANGE or EINVAL if its MTU is too large.
    """
    options = _XdpAttachOpts(sz=ctypes.sizeof(_XdpAttachOpts), old_prog_fd=replace_fd or 0)
    call("XDP attach", "bpf_xdp_attach", ifindex, fd, flags, ctypes.byref(options))


def xdp_detach(ifindex: int, flags: int, old_fd: int | None = None) -> None:
    """Take the XDP program off a device; with `old_fd` only that one (Linux 5.7). Raise LibbpfError."""
    options = _XdpAttachOpts(sz=ctypes.sizeof(_XdpAttachOpts), old_prog_fd=old_fd or 0)
    call("XDP detach", "bpf_xdp_detach", ifindex, flags, ctypes.byref(options))


def xdp_query(ifindex: int) -> XdpPrograms:
    """Return what XDP programs a device has. Raise LibbpfError."""
    options = _XdpQueryOpts(sz=ctypes.sizeof(_XdpQueryOpts))
    call("XDP query", "bpf_xdp_query", ifindex, 0, ctypes.byref(options))
    return _xdp_programs(options)


def _xdp_programs(options: _XdpQueryOpts) -> XdpPrograms:
    by_mode = XdpPrograms(options.drv_prog_id, options.skb_prog_id, options.hw_prog_id)
    if not options.prog_id or by_mode.native or by_mode.generic or by_mode.offloaded:
        return by_mode
    # Before Linux 4.19 there is one program at most, and its mode is told apart from it.
    modes = (_XDP_ATTACHED_DRV, _XDP_ATTACHED_SKB, _XDP_ATTACHED_HW)
    return XdpPrograms(*(options.prog_id if options.attach_mode == mode else 0 for mode in modes))


def _hook(ifindex: int) -> _TcHook:
    return _TcHook(sz=ctypes.sizeof(_TcHook), ifindex=ifindex, attach_point=_BPF_TC_INGRESS)


def _options(place: ClsactFilter) -> _TcOpts:
    return _TcOpts(sz=ctypes.sizeof(_TcOpts), handle=place.handle, priority=place.priority)
