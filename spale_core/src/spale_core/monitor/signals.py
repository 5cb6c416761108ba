# SPDX-License-Identifier: MIT
"""Signals as something to read: a handler does nothing, the loop finds the signal's number in a pipe."""

from __future__ import annotations

import signal
import socket
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import FrameType, TracebackType

_NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Signals:
    """Catches SIGTERM, SIGINT and SIGHUP while it is entered."""

    def __init__(self) -> None:
        """Catch nothing yet."""
        self.reader, self._writer = socket.socketpair()
        self.reader.settimeout(0)
        self._writer.settimeout(0)

    def __enter__(self) -> Self:
        """Begin to catch."""
        self._wakeup_before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._handlers_before = {number: signal.signal(number, _ignore) for number in _NUMBERS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put back what was there before."""
        for number, handler in self._handlers_before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        self.reader.close()
        self._writer.close()

    def pending(self) -> list[signal.Signals]:
        """Return the signals that have come since the last call."""
        try:
            return [signal.Signals(number) for number in self.reader.recv(64) if number in _NUMBERS]
        except BlockingIOError:
            return []


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: the number is in the pipe."""
