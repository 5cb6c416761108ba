# SPDX-License-Identifier: MIT
"""Whether somebody keeps the clock, as the kernel has it (adjtimex(2))."""

from __future__ import annotations

import ctypes
from ctypes import c_int, c_long, c_uint

from attrs import frozen

_TIME_ERROR = 5
_STA_UNSYNC = 0x0040
_REST = 160
"""More bytes than `struct timex` has behind what is read here."""


class _Timex(ctypes.Structure):
    """The beginning of `struct timex`; with modes 0 the kernel only fills it."""

    _fields_ = (
        ("modes", c_uint),
        ("offset", c_long),
        ("freq", c_long),
        ("maxerror", c_long),
        ("esterror", c_long),
        ("status", c_int),
        ("rest", ctypes.c_ubyte * _REST),
    )


@frozen
class ClockState:
    """Whether the clock is kept in step, and how far it may be off, in milliseconds."""

    synchronised: bool
    max_error_ms: int


def clock_state() -> ClockState | None:
    """Ask the kernel; None if it does not tell."""
    found = _Timex()
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(found))
    if state < 0:
        return None
    unsynchronised = state == _TIME_ERROR or bool(found.status & _STA_UNSYNC)
    return ClockState(not unsynchronised, found.maxerror // 1000)
