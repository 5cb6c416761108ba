# SPDX-License-Identifier: MIT
"""Listeners that cannot be started, or cannot say why they end: the monitor goes on as before."""

from __future__ import annotations

import os
import resource
import signal
from contextlib import suppress
from pathlib import Path

import pytest
from paper_house import DEADLINE_S, opened

from spale_core import forks
from spale_core.demo.poll import until
from spale_core.errors import UnavailableError

pytestmark = pytest.mark.kernel

NOBODY = 65534


@pytest.fixture
def house(tmp_path):
    """Return a house."""
    with opened(tmp_path) as made:
        yield made


def listeners(house):
    """Return the children that the monitor has now."""
    pid = house.daemon.pid
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_a_listener_that_cannot_say_why_it_ends(house, monkeypatch):
    """Nobody reads the log any more, and the key is gone: it ends, and touches nothing of the monitor's."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    house.start()
    listener = house.ready()
    (house.folder / "server.key").rename(house.folder / "elsewhere")
    house.daemon.stderr.close()
    os.kill(listener, signal.SIGKILL)
    seen = set()
    assert until(lambda: seen.update(listeners(house)) or len(seen) > 3, DEADLINE_S)
    assert (house.folder / "spale.sock").exists()
    assert house.daemon.poll() is None


def test_a_listener_says_why_it_ends_in_a_line(house):
    """As everything else does, so that it reaches whatever the log goes to."""
    house.start()
    listener = house.ready()
    (house.folder / "server.key").rename(house.folder / "elsewhere")
    os.kill(listener, signal.SIGKILL)
    assert "server.key" in house.line("error doing=listener message=")


def test_no_descriptors_for_a_listener(house):
    """It is said, tried again, and works as soon as there are some."""
    house.start()
    listener = house.ready()
    pid = house.daemon.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = {int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    # What the listener's channel takes is freed with it; one more is for whoever opens a file for a moment.
    free = [number for number in range(len(used) + 9) if number not in used]
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (free[0], before[1]))
    os.kill(listener, signal.SIGKILL)
    assert "Too many open files" in house.line("error doing=listener ")
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    since = len(house.log)
    house.line("listener_ready ", since)
    house.send(house.seal())
    house.line("granted ", since)


def test_no_process_for_a_listener():
    """An error of ours, and signals are taken as before."""
    pid = os.fork()
    if pid == 0:
        status = 1
        with suppress(BaseException):
            os.setresuid(NOBODY, NOBODY, NOBODY)
            resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
            before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
            try:
                forks.fork()
            except UnavailableError:
                status = int(signal.pthread_sigmask(signal.SIG_BLOCK, ()) != before)
        os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
