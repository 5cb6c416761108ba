# SPDX-License-Identifier: MIT
"""Deadlines that a busy machine does not shorten: promises in seconds are made for one that lets us run."""

from __future__ import annotations

import time

from spale_core.demo.poll import until

GAP_S = 0.02


def within(check, seconds):
    """Call `check` until it is true, so many seconds long; return what it returned last.

    Whoever keeps us from the processor keeps the daemon from it, too: of the time between two looks no more
    than `GAP_S` counts.
    """
    left_s, looked = seconds, time.monotonic()

    def is_over():
        nonlocal left_s, looked
        before, looked = looked, time.monotonic()
        left_s -= min(looked - before, GAP_S)
        return left_s <= 0

    until(lambda: check() or is_over(), 10 * seconds)
    return check()
