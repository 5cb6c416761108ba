# SPDX-License-Identifier: MIT
"""Lines to real terminals, pipes, files and sockets: with a time or a priority, and nobody ever waits."""

from __future__ import annotations

import os
import re
import resource

import pytest
from log_readers import KINDS, PATIENCE_S, STAMPED, opening, outlets

from spale_core.demo.poll import until
from spale_core.events import Level
from spale_core.log_events import LogLost
from spale_core.outlet import ROOM, ROOM_FOR_GRANTS
from spale_core.stderr import Stderr

NEVER_OPENED = 2**20


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


def read_on(reader, outlet, is_enough):
    """Read until ``is_enough(lines, told)``; return the lines, and what the outlet told meanwhile."""
    read, told = [b""], []

    def lines():
        return [
            found[1] for line in b"".join(read).decode().splitlines() if (found := STAMPED.fullmatch(line))
        ]

    def look():
        read.append(reader.read())
        told.extend(outlet.catch_up())
        return is_enough(lines(), told)

    assert until(look, PATIENCE_S)
    return lines(), told


@pytest.mark.parametrize("kind", KINDS)
def test_a_line_has_its_time(opened, outlet_to, kind):
    """Last, so that the event's word comes first; to the millisecond, UTC."""
    reader = opened(kind)
    outlet_to(Stderr(reader.descriptor, {})).write(Level.INFO, "refused reason=skew count=1")
    assert reader.lines() == ["refused reason=skew count=1"]


def test_the_time_is_utc(opened):
    """To the millisecond, as ISO 8601 has it."""
    frame = Stderr(opened("pipe").descriptor, {}).frame(Level.INFO, 1_795_395_723_456, "a")
    assert frame == b"a time=2026-11-23T01:02:03.456Z\n"


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_the_journal_gets_priorities(opened, outlet_to, kind):
    """And no time, for it has its own; but only if JOURNAL_STREAM names this very stream."""
    reader = opened(kind)
    status = os.fstat(reader.descriptor)
    for name, expected in (
        (f"{status.st_dev}:{status.st_ino}", rb"<4>warning message=x\n"),
        (f"{status.st_dev}:{status.st_ino + 1}", rb"warning message=x time=\S+Z\n"),
        ("", rb"warning message=x time=\S+Z\n"),
    ):
        outlet = outlet_to(Stderr(reader.descriptor, {"JOURNAL_STREAM": name}))
        outlet.write(Level.WARNING, "warning message=x")
        assert re.fullmatch(expected, reader.read())


@pytest.mark.parametrize("kind", ["pipe", "terminal", "socket"])
def test_who_does_not_read_stops_nobody(opened, outlet_to, kind):
    """What does not fit waits, in order; what has no room is counted, and said when there is room again."""
    reader = opened(kind)
    outlet = outlet_to(Stderr(reader.descriptor, {}))
    written = [f"refused number={number} filler={'x' * 900}" for number in range(1000)]
    for line in written:
        outlet.write(Level.INFO, line)
    assert list(outlet.catch_up()) == []
    again = "refused again=yes"

    def is_enough(lines, told):
        if told and again not in written:
            outlet.write(Level.INFO, again)
            written.append(again)
        return again in lines

    lines, told = read_on(reader, outlet, is_enough)
    assert len(lines) > ROOM // 1000
    # A terminal takes in some while others are lost already.
    assert lines == [line for line in written if line in set(lines)]
    assert sum(each.count for each in told) == len(written) - len(lines)


def test_grants_have_more_room_than_refusals(opened, outlet_to):
    """A flood that nobody reads leaves no line about a grant out, up to a megabyte of them."""
    reader = opened("pipe")
    outlet = outlet_to(Stderr(reader.descriptor, {}))
    for _ in range(500):
        outlet.write(Level.INFO, f"refused filler={'x' * 900}")
    granted = [f"granted number={number} filler={'x' * 500}" for number in range(1000)]
    for line in granted:
        outlet.write(Level.NOTICE, line)
    lines, _ = read_on(reader, outlet, lambda lines, _told: granted[-1] in lines)
    assert [line for line in lines if line.startswith("granted")] == granted
    for _ in range(ROOM_FOR_GRANTS // 100):
        outlet.write(Level.NOTICE, "x" * 500)
    assert outlet._size <= ROOM_FOR_GRANTS


@pytest.mark.parametrize("kind", ["pipe", "terminal"])
def test_others_still_wait_if_they_want_to(opened, kind):
    """The flag is not set on the open file that a shell shares with us."""
    reader = opened(kind)
    shared = os.dup(reader.descriptor)
    try:
        Stderr(reader.descriptor, {})
        assert os.get_blocking(shared)
        assert not os.get_blocking(reader.descriptor)
    finally:
        os.close(shared)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not open the pipe")
def test_what_cannot_be_opened_again_is_asked_first(opened, outlet_to):
    """As a terminal of the user before `su`: a full one stops nobody, either."""
    reader = opened("pipe")
    os.fchmod(reader.descriptor, 0)
    os.seteuid(65534)
    try:
        outlet = outlet_to(Stderr(reader.descriptor, {}))
    finally:
        os.seteuid(0)
    assert os.get_blocking(reader.descriptor)
    for _ in range(200):
        outlet.write(Level.INFO, "x" * 1000)
    assert set(reader.lines()) == {"x" * 1000}


def test_a_closed_stderr_stops_nobody(outlet_to):
    """Whether it was closed from the start, or its reader went."""
    # Not one that was closed: its number could be somebody else's by now.
    outlet = outlet_to(Stderr(NEVER_OPENED, {}))
    outlet.write(Level.ERROR, "x")
    assert list(outlet.catch_up()) == [LogLost(count=1)]
    end, descriptor = os.pipe()
    outlet = outlet_to(Stderr(descriptor, {}))
    os.close(end)
    outlet.write(Level.ERROR, "x")
    assert list(outlet.catch_up()) == [LogLost(count=1)]
    os.close(descriptor)


def test_a_disk_that_is_full_stops_nobody(opened, outlet_to):
    """Lines are lost, and that is said when there is room; what was begun is ended first."""
    reader = opened("file")
    outlet = outlet_to(Stderr(reader.descriptor, {}))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        outlet.write(Level.INFO, "begun")
        outlet.write(Level.INFO, "lost")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    outlet.write(Level.INFO, "next")
    assert reader.lines() == ["begun", "next"]
    assert list(outlet.catch_up()) == [LogLost(count=1)]


def test_nothing_is_made_but_what_is_needed(opened):
    """Neither on a file nor on a pipe a descriptor stays open beside the one that was there."""
    for kind in ("file", "pipe"):
        reader = opened(kind)
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the same call twice
        Stderr(reader.descriptor, {})
        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - see above
