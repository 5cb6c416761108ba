# SPDX-License-Identifier: MIT
"""The management socket in the file system: whose it is, and that one daemon has it."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys

import pytest

from spale_core.control import socketfile
from spale_core.errors import UnavailableError

HOLDER = """
import sys
from pathlib import Path
from spale_core.control import socketfile
with socketfile.bound(Path(sys.argv[1]), None):
    print("bound", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    """Return where the socket will be, in a folder that is not there yet."""
    return tmp_path / "run" / "spale.sock"


def mode(path):
    """Return the mode of what is at `path`."""
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_nobody_else_may_connect(path, mask):
    """From its first moment, whatever the umask; the folder may be entered."""
    before = os.umask(mask)
    try:
        with socketfile.bound(path, None) as listening:
            assert mode(path) == 0o600
            assert mode(path.parent) == 0o755
            assert listening.gettimeout() == 0
            assert os.umask(mask) == mask
    finally:
        os.umask(before)
    assert list(path.parent.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a socket to any group")
def test_a_group_may_connect(path):
    """Its members, and nobody else."""
    with socketfile.bound(path, 12345):
        assert mode(path) == 0o660
        assert path.stat().st_gid == 12345
        assert path.stat().st_uid == 0


def test_a_group_that_is_gone():
    """Since the configuration was read."""
    with pytest.raises(UnavailableError, match="SOCKET_GROUP: there is no group 'no-such-group'"):
        socketfile.group_number("no-such-group")
    assert socketfile.group_number(None) is None


def test_one_daemon_has_it(path):
    """The other one is told what to do."""
    with (
        socketfile.bound(path, None),
        pytest.raises(
            UnavailableError, match=r"another daemon has the management socket .* --name"
        ) as caught,
        socketfile.bound(path, None),
    ):
        pass
    assert caught.value.exit_code == 69


def test_what_a_killed_daemon_left_is_replaced(path):
    """Its lock ended with it."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout.readline() == b"bound\n"
        with pytest.raises(UnavailableError), socketfile.bound(path, None):
            pass
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    assert path.is_socket()
    with (
        socketfile.bound(path, None) as listening,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller,
    ):
        caller.connect(str(path))
        listening.accept()[0].close()
    assert not path.exists()


def test_what_is_no_socket_stays(path):
    """A file of somebody's is not ours to remove."""
    path.parent.mkdir()
    path.write_text("mine")
    with pytest.raises(UnavailableError, match="is there and is no socket"), socketfile.bound(path, None):
        pass
    assert path.read_text() == "mine"


def test_what_is_not_ours_any_more_stays(path):
    """Somebody has put another one there meanwhile."""
    with socketfile.bound(path, None):
        path.unlink()
        path.write_text("another")
    assert path.read_text() == "another"


def test_a_folder_that_others_may_write(path):
    """They could put in a socket of their own."""
    path.parent.mkdir()
    path.parent.chmod(0o777)
    with pytest.raises(UnavailableError, match="may be written by others"), socketfile.bound(path, None):
        pass


def test_a_folder_that_cannot_be(tmp_path):
    """A file is in the way."""
    (tmp_path / "file").touch()
    with (
        pytest.raises(UnavailableError, match="management socket"),
        socketfile.bound(tmp_path / "file" / "spale.sock", None),
    ):
        pass
