# SPDX-License-Identifier: MIT
"""Become another command: its exit code is ours."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from spale_core.config.mistakes import shown

if TYPE_CHECKING:
    from collections.abc import Callable

_NOT_FOUND: Final = 127
_CANNOT_RUN: Final = 126
"""What a shell says of a command that is not there, and of one that is and cannot be run."""


def become(command: list[str], say: Callable[[str], None]) -> int:
    """Run `command` instead of us; return only if that fails or, on Windows, when it has ended."""
    try:
        if os.name != "posix":
            # There os.execvp leaves a second process behind and ends at once, with 0.
            return subprocess.call(command)
        _restore_signals()
        os.execvp(command[0], command)  # noqa: S606 - no shell is wanted
    except FileNotFoundError:
        say(f"{shown(command[0])}: there is no such command")
        return _NOT_FOUND
    except OSError as error:
        say(f"{shown(command[0])}: {error.strerror}")
        return _CANNOT_RUN


def _restore_signals() -> None:
    """Take back what Python ignores for itself: another command wants to end when nobody reads it."""
    sys.stdout.flush()
    for name in ("SIGPIPE", "SIGXFSZ"):
        number = getattr(signal, name, None)
        if number is not None:
            signal.signal(number, signal.SIG_DFL)
