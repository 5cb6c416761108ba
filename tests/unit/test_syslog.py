# SPDX-License-Identifier: MIT
"""Lines to a syslogd that is there, is not, comes back, or does not read."""

from __future__ import annotations

import errno
import os
import re
import socket
from contextlib import ExitStack

import pytest
from log_readers import opening, outlets, received

from spale_core.events import Level
from spale_core.log_events import LogLost, LogMoved
from spale_core.stderr import Stderr
from spale_core.syslog import Syslog


@pytest.fixture
def opened(tmp_path):
    """Return a function that makes a descriptor of some kind, and who reads what is written to it."""
    with opening(tmp_path) as make:
        yield make


@pytest.fixture
def outlet_to():
    """Return a function that makes an outlet."""
    with outlets() as make:
        yield make


@pytest.fixture
def syslogd(tmp_path):
    """Return a socket that takes lines as ``/dev/log`` does, and its path."""
    path = tmp_path / "log"
    with ExitStack() as stack:

        def start():
            path.unlink(missing_ok=True)
            receiver = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            receiver.bind(str(path))
            receiver.settimeout(0)
            return receiver

        yield start, str(path)


def test_syslog_gets_what_a_c_library_writes(syslogd, outlet_to):
    """Facility daemon, the level as the priority, local time, ident and process."""
    start, path = syslogd
    receiver = start()
    outlet = outlet_to(Syslog(path))
    for level in Level:
        outlet.write(level, "exit cause=SIGTERM")
    found = [datagram.decode() for datagram in received(receiver)]
    when = r"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 123]\d \d\d:\d\d:\d\d"
    for level, line in zip(Level, found, strict=True):
        assert re.fullmatch(rf"<{24 + level}>{when} spale\[{os.getpid()}\]: exit cause=SIGTERM", line)


def test_a_syslogd_that_does_not_read_stops_nobody(syslogd, outlet_to):
    """Its socket is full: lines wait, and then are counted."""
    start, path = syslogd
    receiver = start()
    outlet = outlet_to(Syslog(path))
    for number in range(2000):
        outlet.write(Level.INFO, f"number={number} {'x' * 100}")
    found = []
    told = []
    while more := received(receiver):
        found += more
        told += outlet.catch_up()
    numbers = [int(re.search(rb"number=(\d+)", datagram)[1]) for datagram in found]
    assert numbers == list(range(len(numbers)))
    assert told == [LogLost(count=2000 - len(numbers))]


def test_without_a_syslogd_lines_go_to_stderr(syslogd, opened, outlet_to):
    """It is said why, once; and when there is one again, also a new one in its place, that is said too."""
    start, path = syslogd
    reader = opened("pipe")
    outlet = outlet_to(Syslog(path), Stderr(reader.descriptor, {}))
    outlet.write(Level.INFO, "first")
    assert list(outlet.catch_up()) == [LogMoved(to="stderr", cause=os.strerror(errno.ENOENT))]
    assert list(outlet.catch_up()) == []
    for _ in range(2):
        receiver = start()
        outlet.write(Level.INFO, "second")
        assert list(outlet.catch_up()) == [LogMoved(to="syslog")]
        assert received(receiver)[0].endswith(b"]: second")
        receiver.close()
        outlet.write(Level.INFO, "third")
        assert list(outlet.catch_up()) == [LogMoved(to="stderr", cause=os.strerror(errno.ECONNREFUSED))]
    assert reader.lines() == ["first", "third", "third"]


def test_a_new_syslogd_misses_nothing(syslogd, outlet_to):
    """A restart between two lines is not noticed."""
    start, path = syslogd
    first = start()
    outlet = outlet_to(Syslog(path))
    outlet.write(Level.INFO, "first")
    assert len(received(first)) == 1
    first.close()
    second = start()
    outlet.write(Level.INFO, "second")
    assert received(second)[0].endswith(b"]: second")
    assert list(outlet.catch_up()) == []
