# SPDX-License-Identifier: MIT
"""Swaps what is at a path, over and over: ``python swapper.py PATH OTHER...``, until standard input ends.

What is at PATH is exchanged with each OTHER in turn and back, each in one step (renameat2(2)).
"""

from __future__ import annotations

import ctypes
import os
import select
import sys

AT_FDCWD = -100
RENAME_EXCHANGE = 2
PAUSE_S = 0.0001


def exchange(one, other):
    """Exchange what is at two paths."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE):
        raise OSError(ctypes.get_errno(), f"{one} and {other} cannot be exchanged")


def main(path, *others):
    """Swap until nobody wants it any more."""
    print("begun", flush=True)  # noqa: T201 - what it is for
    while True:
        for other in others:
            for _ in range(2):
                exchange(path, other)
                if select.select([sys.stdin], [], [], PAUSE_S)[0]:
                    return


if __name__ == "__main__":
    main(*sys.argv[1:])
