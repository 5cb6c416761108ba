# SPDX-License-Identifier: MIT
"""A descriptor that wakes a loop at a time of the wall clock, and at once when somebody sets that clock.

Linux tells it through a timerfd with TFD_TIMER_CANCEL_ON_SET, after a suspend too (timerfd_create(2)). Python
has that from 3.13 on; before, it is asked of the C library.
"""

from __future__ import annotations

import ctypes
import errno
import os
from contextlib import suppress
from ctypes import c_int, c_long
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from types import TracebackType

_CLOCK_REALTIME: Final = 0
_TFD_NONBLOCK: Final = os.O_NONBLOCK
_TFD_CLOEXEC: Final = os.O_CLOEXEC
_TFD_TIMER_ABSTIME: Final = 1
_TFD_TIMER_CANCEL_ON_SET: Final = 2

_NEVER_S: Final = 2**31 - 1
"""A time that does not come before 2038; whoever gets there arms again."""

_TICKS: Final = 8


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", c_long), ("nanoseconds", c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class WallTimer:
    """A timerfd on CLOCK_REALTIME; a selector can watch it. Until `arm` nothing wakes it."""

    def __init__(self) -> None:
        """Make it; raise OSError."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = self._libc.timerfd_create(_CLOCK_REALTIME, _TFD_NONBLOCK | _TFD_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def fileno(self) -> int:
        """Return the descriptor, which can be read when the time has come or the clock was set."""
        return self._fd

    def arm(self, unix_ms: int | None) -> None:
        """Wake at `unix_ms`, at once if that is over, never for None; and when the clock is set."""
        seconds, milliseconds = (_NEVER_S, 0) if unix_ms is None else divmod(max(1, unix_ms), 1000)
        value = _Timespec(min(seconds, _NEVER_S), milliseconds * 1_000_000)
        flags = c_int(_TFD_TIMER_ABSTIME | _TFD_TIMER_CANCEL_ON_SET)
        timer = _Itimerspec(_Timespec(0, 0), value)
        if self._libc.timerfd_settime(self._fd, flags, ctypes.byref(timer), None) == 0:
            return
        # Of a clock that was set and not read of yet, it tells here, and is armed all the same.
        if ctypes.get_errno() != errno.ECANCELED:
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def clear(self) -> bool:
        """Tell whether it has gone off since the last call."""
        try:
            self._read()
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno != errno.ECANCELED:
                raise
        return True

    def _read(self) -> None:
        os.read(self._fd, _TICKS)

    def close(self) -> None:
        """Close the descriptor."""
        with suppress(OSError):
            os.close(self._fd)
