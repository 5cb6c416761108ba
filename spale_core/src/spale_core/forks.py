# SPDX-License-Identifier: MIT
"""Forks of the monitor: its signals are its own, and a kernel that has no more processes is an answer."""

from __future__ import annotations

import os
import signal

from spale_core.errors import UnavailableError


def fork() -> int:
    """Fork; return 0 in the child, where every signal is blocked, so that no handler of the parent's runs.

    Raise UnavailableError, with nothing changed, if the kernel refuses.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    pid = -1
    try:
        pid = os.fork()
    except OSError as error:
        raise UnavailableError(f"no process can be started: {error.strerror}") from error
    finally:
        if pid != 0:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


def end(pid: int) -> None:
    """Kill a child and wait for it."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
