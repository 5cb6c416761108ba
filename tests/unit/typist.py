# SPDX-License-Identifier: MIT
"""Somebody who types at a shell, on a pseudo-terminal, and reads what is there."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

WAIT_S = 20.0
_CONTROLS = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[=>]|\x1b\][^\x07]*\x07|[\x07\x0f]")


class Typist:
    """A shell on a terminal that is large enough for every list."""

    def __init__(self, command: Sequence[str], home: Path) -> None:
        """Start it with nothing but a home."""
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 300, 200, 0, 0))
        environment = {"HOME": str(home), "PATH": os.environ["PATH"], "TERM": "xterm", "LC_ALL": "C.UTF-8"}
        self._process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            cwd=home,
            start_new_session=True,
        )
        os.close(slave)

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._master, text.encode())

    def read_until(self, *words: str) -> str:
        """Return what has appeared when all of `words` have; fail if they do not come."""
        seen, deadline = b"", time.monotonic() + WAIT_S
        while missing := [each for each in words if each not in self._text(seen)]:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._master], [], [], left)[0]:
                raise AssertionError(f"{missing} are missing in {self._text(seen)!r}")
            seen += os.read(self._master, 65536)
        return self._text(seen)

    @staticmethod
    def _text(seen: bytes) -> str:
        """Return it without colours and the like; a line ends with a blank."""
        return _CONTROLS.sub("", seen.decode(errors="replace")).replace("\r", " ")

    def close(self) -> None:
        """End the shell."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)
        os.close(self._master)
