# SPDX-License-Identifier: MIT
"""What this kernel can do beyond Linux 4.18, found out by loading the smallest program that needs it."""

from __future__ import annotations

import os

from spale_bpf.libbpf.loading import prog_load
from spale_bpf.libbpf.native import LibbpfError

XDP_HAS_FRAGS = 1 << 5
"""BPF_F_XDP_HAS_FRAGS (Linux 5.18): the program copes with frames of several buffers."""

_PROG_TYPE_XDP = 6
_XDP_PASS = bytes.fromhex("b700000002000000 9500000000000000")
"""r0 = 2; exit: the smallest XDP program."""

_COARSE_CLOCK = bytes.fromhex("85000000a0000000")
"""A call of helper 160, bpf_ktime_get_coarse_ns (Linux 5.11)."""


def xdp_frags_supported() -> bool:
    """Return whether this kernel loads XDP programs with the flag `XDP_HAS_FRAGS`."""
    return _loads(_XDP_PASS, XDP_HAS_FRAGS)


def coarse_clock_supported() -> bool:
    """Return whether programs of this kernel can read the clock of the last tick."""
    return _loads(_COARSE_CLOCK + _XDP_PASS)


def load_xdp_pass() -> int:
    """Load the smallest XDP program; return its descriptor, for the caller to close. Raise LibbpfError."""
    return _load(_XDP_PASS)


def _loads(code: bytes, flags: int = 0) -> bool:
    try:
        fd = _load(code, flags)
    except LibbpfError:
        return False
    os.close(fd)
    return True


def _load(code: bytes, flags: int = 0) -> int:
    return prog_load(_PROG_TYPE_XDP, "spale_probe", code, flags)
