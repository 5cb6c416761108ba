# SPDX-License-Identifier: MIT
"""Whatever comes in floods has a line a second for each thing that it is about; grants have all of theirs."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from spale_core import events
from spale_core.log import Log
from spale_core.log_events import LogLost
from spale_core.manual_events import Allowed
from spale_core.model import Reason, Source
from spale_core.testing import FakeClock

SOURCE = Source(ip_address("192.0.2.1"))
OTHER = Source(ip_address("192.0.2.2"))
FLOODS = {
    "a chore that fails": events.Failed(doing="claims", message="the store is closed"),
    "a failing disk": events.StoreSays(message="spale.db cannot be written"),
    "a warning": events.Warned(message="careful"),
    "a plugin's bug": events.PluginBug(error="KeyError", where="plugin.py:7"),
    "connections without room": events.Untracked(count=1, last_source=SOURCE),
    "refusals": events.Refused(reason=Reason.SKEW, count=1, source=SOURCE),
}


class Pen:
    """A log, its clock, and the lines that it wrote."""

    def __init__(self, level="debug", catch_up=tuple):
        """Write down everything."""
        self.lines = []
        self.clock = FakeClock()
        self.log = Log(lambda _level, line: self.lines.append(line), self.clock, level, catch_up)


@pytest.fixture
def pen():
    """Return one."""
    return Pen()


def counts(lines):
    """Return how many events each line stands for."""
    return [int(line.partition("count=")[2].partition(" ")[0] or 1) for line in lines]


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_has_a_line_a_second(pen, flood):
    """The first at once, and nothing is missing in the sum."""
    for _ in range(300):
        for _ in range(20):
            pen.log.emit(FLOODS[flood])
        pen.clock.advance(0.05)
        pen.log.tick()
    assert 14 <= len(pen.lines) <= 16
    pen.log.flush()
    assert sum(counts(pen.lines)) == 6000


def test_different_things_do_not_hold_each_other_back(pen):
    """Of two mistakes that are said in one second, both are told, alone and at once."""
    for message in ("first", "second"):
        pen.log.emit(events.Warned(message=message))
        pen.log.emit(events.Failed(doing=message, message="failed"))
    assert len(pen.lines) == 4
    assert not any("count" in line for line in pen.lines)


def test_messages_that_always_differ_are_capped_too(pen):
    """Whoever can put a number of his own into a message writes no more lines with it, but for a few."""
    for number in range(10_000):
        pen.log.emit(events.StoreSays(message=f"damaged at {number}"))
        pen.log.tick()
        pen.clock.advance(0.001)
    pen.log.flush()
    assert len(pen.lines) <= 11 * 65
    assert sum(counts(pen.lines)) == 10_000


def test_refusals_summed_up_name_the_last_source(pen):
    """And its client, whatever the earlier ones were."""
    for source in (SOURCE, SOURCE, OTHER):
        pen.log.emit(events.Refused(reason=Reason.SKEW, count=1, source=source, client="anna"))
    pen.log.flush()
    assert pen.lines[1] == "refused reason=skew count=2 last_source=192.0.2.2 client=anna"


@pytest.mark.parametrize("level", ["error", "warning", "info", "debug"])
def test_what_is_never_left_out(level):
    """Grants, revocations, and what was done by hand, all of them at once, in any flood and at any level."""
    pen = Pen(level)
    always = [
        events.Grants(client="a", fingerprint="f", source=SOURCE, services=(), idle_s=1, grace_s=1, max_s=1),
        events.Revoked(client="a", cause="revoked", source=SOURCE, services=(), sessions=None),
        Allowed(prefix="192.0.2.0/24"),
    ]
    for _ in range(100):
        for event in (*FLOODS.values(), *always):
            pen.log.emit(event)
    for event in always:
        assert sum(line.startswith(f"{event.word} ") for line in pen.lines) == 100


def test_what_the_outlet_has_to_say_is_told():
    """At the next tick, and at the end."""
    told = iter([[LogLost(count=3)], [LogLost(count=4)]])
    pen = Pen(catch_up=lambda: next(told))
    pen.log.tick()
    pen.log.flush()
    assert pen.lines == ["log_lost count=3", "log_lost count=4"]
