# SPDX-License-Identifier: MIT
"""Lines to standard error, whatever that is: with their time, or under systemd with their priority.

A terminal that was stopped and a pipe that nobody reads take nothing; writing to them must not wait. The flag
for that belongs to the open file, which other processes share, so it is not set there: a terminal or pipe is
opened once more for this process, and a socket is asked each time.
"""

from __future__ import annotations

import os
import select
import socket
import stat
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from spale_core.events import Level

_AGAIN: Final = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Stderr:
    """Standard error of this process, as it was when this was made."""

    def __init__(self, descriptor: int = 2, environ: Mapping[str, str] = os.environ) -> None:
        """Find out what `descriptor` is; `environ` tells whether it is the journal's (systemd.exec(5))."""
        try:
            status = os.fstat(descriptor)
        except OSError:
            status = None
        self._is_journal = status is not None and environ.get("JOURNAL_STREAM") == _stream(status)
        self._socket = _connected(descriptor, status)
        self._write = self._send_at_once if self._socket else _writer(descriptor, status)
        self._rest = b""

    def send(self, level: Level, unix_ms: int, line: str) -> bool:
        """Write a line; return False if that has to wait. Raise OSError if it cannot be written at all."""
        if not self._write_rest():
            return False
        frame = self._rest = self.frame(level, unix_ms, line)
        try:
            self._write_rest()
        except OSError:
            self._rest = b""
            raise
        if self._rest == frame:
            self._rest = b""
            return False
        # The end of a line that was begun is written before anything else.
        return True

    def frame(self, level: Level, unix_ms: int, line: str) -> bytes:
        """Return what is written for a line of printable ASCII."""
        if self._is_journal:
            return f"<{int(level)}>{line}\n".encode("ascii")
        seconds, ms = divmod(unix_ms, 1000)
        now = time.gmtime(seconds)
        day = f"{now.tm_year:04}-{now.tm_mon:02}-{now.tm_mday:02}"
        clock = f"{now.tm_hour:02}:{now.tm_min:02}:{now.tm_sec:02}.{ms:03}"
        return f"{line} time={day}T{clock}Z\n".encode("ascii")

    def close(self) -> None:
        """Let go of what was opened beside the descriptor."""
        if self._socket is not None:
            self._socket.close()

    def _send_at_once(self, data: bytes) -> int:
        return self._socket.send(data, socket.MSG_DONTWAIT) if self._socket else 0

    def _write_rest(self) -> bool:
        """Write what is left of a line; return whether nothing is left."""
        if self._rest:
            try:
                self._rest = self._rest[self._write(self._rest) :]
            except (BlockingIOError, InterruptedError):
                return False
        return not self._rest


def _stream(status: os.stat_result) -> str:
    return f"{status.st_dev}:{status.st_ino}"


def _connected(descriptor: int, status: os.stat_result | None) -> socket.socket | None:
    is_socket = status is not None and stat.S_ISSOCK(status.st_mode)
    return socket.socket(fileno=os.dup(descriptor)) if is_socket else None


def _writer(descriptor: int, status: os.stat_result | None) -> Callable[[bytes], int]:
    """Return a function that writes without waiting, and returns how many bytes it wrote."""
    if status is not None and not stat.S_ISREG(status.st_mode):
        try:
            _open_again(descriptor)
        except OSError:
            with suppress(OSError):
                return _careful_writer(descriptor)
    return lambda data: os.write(descriptor, data)


def _open_again(descriptor: int) -> None:
    """Put an open file of our own, which never waits, behind the number that all else here writes to."""
    again = os.open(f"/proc/self/fd/{descriptor}", _AGAIN)
    os.dup2(again, descriptor)
    os.close(again)


def _careful_writer(descriptor: int) -> Callable[[bytes], int]:
    """Return a function that asks first, as good for one that has pipe or terminal for itself."""
    ready = select.epoll()
    ready.register(descriptor, select.EPOLLOUT)

    def write(data: bytes) -> int:
        if not ready.poll(0):
            raise BlockingIOError
        return os.write(descriptor, data[: select.PIPE_BUF])

    return write
