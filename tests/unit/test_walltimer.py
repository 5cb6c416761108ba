# SPDX-License-Identifier: MIT
"""The timer on the wall clock: a real one, as far as no test may set this machine's clock."""

from __future__ import annotations

import errno
import os
import select
import time
from pathlib import Path

import pytest

from spale_core.walltimer import WallTimer

DEADLINE_S = 30.0


def goes_off(timer, timeout_s):
    """Tell whether a loop would be woken."""
    return bool(select.select([timer], [], [], timeout_s)[0])


def now_ms():
    """Return the wall clock's time."""
    return time.time_ns() // 1_000_000


@pytest.fixture
def timer():
    """Return a timer."""
    with WallTimer() as timer:
        timer.arm(None)
        yield timer


def test_it_is_armed_for_never(timer):
    """And there is nothing to clear."""
    assert timer.clear() is False
    assert not goes_off(timer, 0.05)


def test_it_wakes_at_its_time(timer):
    """Not before; once; and when it is cleared, it is quiet."""
    at_ms = now_ms() + 100
    timer.arm(at_ms)
    assert goes_off(timer, DEADLINE_S)
    assert now_ms() >= at_ms
    assert timer.clear() is True
    assert not goes_off(timer, 0.05)


@pytest.mark.parametrize("ago_ms", [0, 1_000, 10**15])
def test_what_is_over_wakes_at_once(timer, ago_ms):
    """A time in the past, however far."""
    timer.arm(now_ms() - ago_ms)
    assert goes_off(timer, DEADLINE_S)


@pytest.mark.parametrize("unix_ms", [None, 2**62, 2**40 * 1000])
def test_arming_again_replaces(timer, unix_ms):
    """By never, too, and by what the kernel's structure has no room for."""
    timer.arm(now_ms() + 50)
    timer.arm(unix_ms)
    assert not goes_off(timer, 0.15)


def test_the_kernel_knows_what_it_is_for(timer):
    """It is to be cancelled when CLOCK_REALTIME is set: absolute time and that flag."""
    timer.arm(now_ms() + 60_000)
    lines = Path(f"/proc/self/fdinfo/{timer.fileno()}").read_text().splitlines()
    said = dict(line.split(":", 1) for line in lines if ":" in line)
    assert said["clockid"].strip() == str(time.CLOCK_REALTIME)
    assert said["settime flags"].strip() == "03"


def test_a_clock_that_was_set_is_no_error():
    """The kernel answers a read with ECANCELED then; any other error is one."""

    class Cancelled(WallTimer):
        number = errno.ECANCELED

        def _read(self):
            raise OSError(self.number, os.strerror(self.number))

    with Cancelled() as timer:
        assert timer.clear() is True
        timer.number = errno.EBADF
        with pytest.raises(OSError, match="Bad file"):
            timer.clear()


def test_a_child_that_runs_something_else_does_not_have_it(timer):
    """It is closed on exec."""
    assert not os.get_inheritable(timer.fileno())
