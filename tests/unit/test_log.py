# SPDX-License-Identifier: MIT
"""The lines of the log, and which of them are written."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from spale_core import events, outcomes
from spale_core.log import Log, format_event, quote
from spale_core.model import NEVER_NS, Claim, Grant, Granted, Protocol, Reason, Refused, Service, Source
from spale_core.testing import FakeClock

S = 1_000_000_000
SSH, WEB = Service(Protocol.TCP, 22), Service(Protocol.TCP, 443)
SOURCE = Source(ip_address("10.0.0.2"))


@pytest.fixture
def clock():
    """Return a clock that stands still."""
    return FakeClock()


@pytest.fixture
def lines():
    """Return the list that lines are written to."""
    return []


@pytest.fixture
def log(clock, lines):
    """Return a log that writes to `lines`."""
    return Log(lambda _level, line: lines.append(line), clock)


def test_granted():
    """Who, from where, what, for how long."""
    claim = Claim(0, bytes(32), 1, SOURCE, bound=True, services=frozenset(), idle_s=0)
    windows = (5 * S, 60 * S, 300 * S, 43205 * S)
    granted = Granted(claim, (Grant(SOURCE, SSH, *windows), Grant(SOURCE, WEB, *windows)))
    line = format_event(outcomes.granted(granted, "admin", "SHA256:abc+/"))
    assert line == (
        "granted client=admin fingerprint=SHA256:abc+/ source=10.0.0.2 services=22/tcp,443/tcp"
        " idle_s=60 grace_s=300 max_s=43200"
    )


def test_granted_for_ever():
    """Windows that never end are -1, as in the configuration."""
    claim = Claim(0, bytes(32), 1, SOURCE, bound=True, services=frozenset(), idle_s=0)
    granted = Granted(claim, (Grant(SOURCE, SSH, 5 * S, NEVER_NS, NEVER_NS, NEVER_NS),))
    assert format_event(outcomes.granted(granted, "a", "f")).endswith("idle_s=-1 grace_s=-1 max_s=-1")


def test_refused_once():
    """One refusal names its source and its client; a replay also who came first."""
    first = Source(ip_address("10.0.0.9"))
    event = outcomes.refused(Refused(Reason.REPLAY, SOURCE, 0, first_source=first), "admin")
    line = "refused reason=replay count=1 source=10.0.0.2 client=admin first_source=10.0.0.9"
    assert format_event(event) == line


def test_refused_many_times():
    """A sum names the last source."""
    event = outcomes.refused(Refused(Reason.UNKNOWN_TAG, SOURCE, count=7), None)
    assert format_event(event) == "refused reason=unknown_tag count=7 last_source=10.0.0.2"


def test_link_local_sources_have_their_interface():
    """By name where it is known, else by number."""
    event = outcomes.refused(Refused(Reason.SKEW, Source(ip_address("fe80::1"), 3)), None)
    assert format_event(event, {3: "eth0"}).endswith("source=fe80::1%eth0")
    assert format_event(event).endswith("source=fe80::1%3")


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        ("22/tcp", "22/tcp"),
        ("", '""'),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ('say "x"', r'"say \"x\""'),
        ("back\\slash", r'"back\\slash"'),
        ("line\nend\r\t\x00", r'"line\nend\r\t\x00"'),
        ("über\u2028", r'"\xfcber\u2028"'),
        ("\udcff", r'"\udcff"'),
    ],
)
def test_quoting(value, quoted):
    """Bare where nothing can be misread, else quoted, ASCII only."""
    assert quote(value) == quoted


def test_refusals_are_capped_and_counted(log, lines, clock):
    """A flood of one reason writes a line per second, and no refusal is missing in the sum."""
    for _ in range(1000):
        log.emit(outcomes.refused(Refused(Reason.SKEW, SOURCE), None))
        clock.advance(0.01)
        log.tick()
    log.flush()
    assert len(lines) <= 12
    assert sum(int(line.split("count=")[1].split()[0]) for line in lines) == 1000


def test_grants_are_never_left_out(clock):
    """Not by a flood, not by the log level."""
    lines = []
    log = Log(lambda _level, line: lines.append(line), clock, "error")
    granted = events.Grants(
        client="a", fingerprint="f", source=SOURCE, services=(SSH,), idle_s=1, grace_s=1, max_s=1
    )
    for _ in range(50):
        log.emit(granted)
        log.emit(outcomes.refused(Refused(Reason.SKEW, SOURCE), None))
    assert len(lines) == 50


def test_levels(clock):
    """Below the level nothing is written."""
    lines = []
    log = Log(lambda _level, line: lines.append(line), clock, "warning")
    log.emit(events.Expired(client="a", source=SOURCE, services=(SSH,)))
    log.emit(events.Warned(message="careful"))
    assert lines == ["warning message=careful"]
