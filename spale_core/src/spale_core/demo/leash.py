# SPDX-License-Identifier: MIT
"""Become a command that the kernel kills when the process that started it ends, however that ends.

``python leash.py PARENT_PID COMMAND ...``; with a PARENT_PID of 0 the command may outlive its parent. This is
a program, as a function between fork and exec is not safe in a process with threads. Imports nothing of us.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(parent_pid: int, command: list[str]) -> None:
    """Execute `command` in this process, with no signal held back."""
    if parent_pid:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:
            sys.exit(f"process {parent_pid} has ended meanwhile")
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.execv(command[0], command)  # noqa: S606 - a list of arguments, never a shell


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
