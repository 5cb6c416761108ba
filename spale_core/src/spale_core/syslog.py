# SPDX-License-Identifier: MIT
"""Lines to the system's log: ``/dev/log``, as ``spale`` in the facility ``daemon`` (RFC 3164, section 4.1).

The frame is what syslog(3) of a C library writes, and all daemons of that kind read: RFC 3164
without the host's name, since it does not leave the host.
"""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from spale_core.events import Level

PATH: Final = "/dev/log"

_FACILITY_DAEMON: Final = 3
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Syslog:
    """A socket of this process, made and connected at once: the listener may do neither later."""

    def __init__(self, path: str = PATH) -> None:
        """Connect it to whoever takes lines at `path`, if there is somebody."""
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._pid = os.getpid()
        self._why: OSError | None = None
        try:
            self._socket.connect(path)
        except OSError as error:
            self._why = error
        # Whoever asks first has the file of the time zone read, which the listener may not later, either.
        time.localtime()

    def send(self, level: Level, unix_ms: int, line: str) -> bool:
        """Send a line; return False if syslogd has not read enough yet. Raise OSError if there is none."""
        frame = self.frame(level, unix_ms, line)
        try:
            self._socket.send(frame, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError as error:
            return self._send_to_another(frame, error)
        return True

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()

    def frame(self, level: Level, unix_ms: int, line: str) -> bytes:
        """Return the datagram for a line of printable ASCII."""
        now = time.localtime(unix_ms // 1000)
        day = f"{_MONTHS[now.tm_mon - 1]} {now.tm_mday:2}"
        clock = f"{now.tm_hour:02}:{now.tm_min:02}:{now.tm_sec:02}"
        return f"<{_FACILITY_DAEMON * 8 + level}>{day} {clock} spale[{self._pid}]: {line}".encode("ascii")

    def _send_to_another(self, frame: bytes, why: OSError) -> bool:
        """Send to a syslogd that has come since; raise `why` if there is none, or it is not for us.

        The listener may not connect, but say with each line whom it is for.
        """
        try:
            self._socket.sendto(frame, socket.MSG_DONTWAIT, self._path)
        except BlockingIOError:
            return False
        except PermissionError:
            raise self._why or why from None
        return True
