# SPDX-License-Identifier: MIT
"""The filter of the listener's system calls: little is left, and that is enough."""

from __future__ import annotations

import errno
import mmap
import os
import socket
import sys
import time
from contextlib import suppress
from functools import partial

import pytest
from confinement import confined, filtered, numbers, tried

from spale_core import seccomp

ANYWHERE = ("127.0.0.1", 9)


def test_everything_else_is_refused():
    """EPERM, and the process goes on: no files, no sockets, no programs, no privileges, no other process."""
    calls = numbers()
    assert set(confined(lambda: tried(calls)).values()) == {errno.EPERM}


def test_the_calls_of_another_architecture_are_refused():
    """A kernel that takes x32 calls, or 32-bit ones, has them beside ours, under other numbers."""
    x32 = {"getpid": 0x40000000 + 39}
    if os.uname().machine != "x86_64":
        pytest.skip("x32 belongs to x86-64")
    assert confined(lambda: tried(x32)) == {"getpid": errno.EPERM}


def test_time_memory_and_randomness_are_left():
    """What a program does all day."""

    def work():
        pieces = [bytes(size) for size in (10, 10**4, 10**6, 10**8)]
        moment = time.time_ns(), time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME)
        return len(pieces) + len(os.urandom(8)) + len(moment)

    assert confined(work) == 15


@pytest.mark.parametrize("protection", [mmap.PROT_EXEC, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC])
def test_no_memory_can_be_made_a_program(protection):
    """Whoever can write to the memory of the listener brings no instructions of his own."""
    assert confined(lambda: mmap.mmap(-1, 4096, prot=protection).close()) == "EPERM"
    assert confined(lambda: len(mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE))) == 4096


def test_nothing_leaves_the_sockets_of_the_knocks():
    """They are read; neither with an address nor without one can anything be sent."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as guest,
    ):
        udp.bind(("127.0.0.1", 0))
        guest.sendto(b"knock", udp.getsockname())
        assert confined(lambda: list(udp.recvmsg(10, 64)[0])) == list(b"knock")
        for send in (
            lambda: udp.sendto(b"secret", ANYWHERE),
            lambda: udp.sendmsg([b"secret"], [], 0, ANYWHERE),
            lambda: udp.connect(ANYWHERE),
        ):
            assert confined(send) == "EPERM"
        for send in (lambda: udp.send(b"secret"), lambda: os.write(udp.fileno(), b"secret")):
            assert confined(send) == "EDESTADDRREQ"


def test_the_channel_carries_records_and_no_descriptors():
    """What is connected can be written to, but without ancillary data."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        assert confined(lambda: theirs.send(b"record")) == 6
        assert ours.recv(10) == b"record"
        assert confined(lambda: socket.send_fds(theirs, [b"record"], [0])) == "EPERM"


def test_a_syslog_that_was_opened_before_is_left(tmp_path):
    """Its socket names whom it sends to each time; another one does not exist."""
    path = str(tmp_path / "log")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslogd:
        syslogd.bind(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
            assert confined(lambda: log.sendto(b"line", path)) == 4
        assert syslogd.recv(10) == b"line"


def test_it_is_seen_from_outside():
    """By the process's number; while there is none, nothing is known."""
    assert confined(partial(os.getpid))
    assert seccomp.is_on(os.getpid()) is False
    assert seccomp.is_on(0) is None


def test_somebody_elses_is_none_of_ours():
    """In a container, or under a unit, both processes are under a filter that is not the listener's own."""
    filtered()
    import pyseccomp as binding  # noqa: PLC0415 - it may be missing

    pid = os.fork()
    if pid == 0:
        status = 1
        with suppress(BaseException):
            outer = binding.SyscallFilter(binding.ALLOW)
            outer.add_rule(binding.ERRNO(errno.EPERM), "reboot")
            outer.load()
            status = int(seccomp.is_on(os.getpid()) is not False)
        os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.parametrize(
    ("words", "message", "remedy"),
    [
        ("raise ImportError", "pyseccomp is not installed", "pip install pyseccomp"),
        ("raise RuntimeError('no libseccomp')", "cannot be loaded: no libseccomp", "apt install libseccomp2"),
    ],
)
def test_what_is_missing_is_named(tmp_path, monkeypatch, words, message, remedy):
    """With the command that brings it."""
    filtered()
    (tmp_path / "pyseccomp.py").write_text(words)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "pyseccomp")
    with pytest.raises(seccomp.NoFilterError, match=message) as missing:
        seccomp.prepare()
    assert missing.value.remedy == remedy
