# SPDX-License-Identifier: MIT
"""One daemon for each interface, by locks that end with their holder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from spale_core.errors import UnavailableError
from spale_core.monitor import locks

HOLD = """
import sys, signal
from pathlib import Path
from spale_core.monitor import locks
with locks.held({7: "eth0"}, "office", Path(sys.argv[1])):
    print("held", flush=True)
    signal.pause()
"""


@pytest.fixture
def folder(tmp_path):
    """Return where locks may be made."""
    return tmp_path / "run" / "locks"


@pytest.fixture
def holder(folder):
    """Return another process that holds the lock of eth0."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_second_daemon_is_refused(folder, holder):
    """In one sentence that names the interface, the process and its name; exit code 69."""
    with pytest.raises(UnavailableError) as caught, locks.held({7: "eth0"}, None, folder):
        pass
    assert str(caught.value) == (
        f"another daemon guards eth0 (process {holder.pid}, --name office, on eth0); stop it first"
    )
    assert caught.value.exit_code == 69


def test_who_is_refused_holds_nothing(folder, holder):
    """Not the interfaces that were free, either."""
    with pytest.raises(UnavailableError), locks.held({3: "eth9", 7: "eth0"}, None, folder):
        pass
    holder.kill()
    holder.wait()
    with locks.held({3: "eth9", 7: "eth0"}, None, folder):
        pass


def test_other_interfaces_are_free(folder, holder):
    """Several daemons on one host."""
    assert holder.poll() is None
    with locks.held({8: "eth1"}, None, folder):
        assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_lock_that_was_left_over_locks_nobody_out(folder, holder, end):
    """However its holder ended; the file of one that was killed is taken over, and goes at last."""
    holder.send_signal(end)
    holder.wait()
    assert len(list(folder.iterdir())) == 1
    with locks.held({7: "eth0"}, None, folder):
        (path,) = folder.iterdir()
        assert path.read_text() == f"process {os.getpid()}, on eth0\n"
    assert list(folder.iterdir()) == []


def test_a_start_removes_what_others_left_over(folder, holder):
    """Namespaces come and go; only what is held stays."""
    (folder / "net1-if2.lock").touch()
    with locks.held({8: "eth1"}, None, folder):
        assert {path.name.partition("-")[2] for path in folder.iterdir()} == {"if7.lock", "if8.lock"}
    assert holder.poll() is None


def test_only_root_may_enter(folder):
    """Nobody else can keep a daemon from starting by holding its lock."""
    with locks.held({7: "eth0"}, None, folder):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_may_write_is_refused(folder):
    """Whoever may write it could lock every daemon out."""
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    with pytest.raises(UnavailableError, match="may be written by others"), locks.held({}, None, folder):
        pass


def test_a_folder_that_cannot_be_made(tmp_path):
    """The error says which."""
    (tmp_path / "run").write_text("in the way")
    with (
        pytest.raises(UnavailableError, match="run/locks: File exists"),
        locks.held({}, None, tmp_path / "run" / "locks"),
    ):
        pass
