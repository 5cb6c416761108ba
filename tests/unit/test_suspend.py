# SPDX-License-Identifier: MIT
"""A machine that slept: CLOCK_MONOTONIC stood still, and everything is older by that all the same."""

from __future__ import annotations

import pytest
from attrs import evolve
from office import ALICE, BOB, HERE, SETTINGS, SSH, THERE, Office

from spale_core.ageing import Ended
from spale_core.clock import SleepWatch, SystemClock, read, suspended_ns
from spale_core.model import NEVER_NS, Session, SessionState
from spale_core.sessions import Sessions, View
from spale_core.testing import FakeClock, Packet

S = 10**9


@pytest.fixture
def office():
    """Return an office."""
    return Office()


def suspend(office, seconds):
    """Let the machine sleep and wake up; return what has ended."""
    watch = SleepWatch(office.clock)
    office.clock.suspend(seconds)
    return office.reconciler.slept(watch.slept_ns(), read(office.clock))


def test_a_watch_tells_each_sleep_once():
    """To the nanosecond, whatever the wall clock does; and nothing when time just passes."""
    clock = FakeClock()
    watch = SleepWatch(clock)
    clock.advance(10)
    clock.step(3600)
    assert watch.slept_ns() == 0
    clock.suspend(5)
    clock.suspend(0.001)
    assert watch.slept_ns() == 5_001_000_000
    assert watch.slept_ns() == 0


def test_a_watch_is_not_taken_in_by_a_busy_machine():
    """Clocks are read one after the other: what lies between is no sleep."""

    class Late(FakeClock):
        late = 3

        def boottime_ns(self):
            if self.late:
                self.late -= 1
                self.advance(0.5)
            return super().boottime_ns()

    assert suspended_ns(Late()) == 0
    watch = SleepWatch(SystemClock())
    assert [watch.slept_ns() for _ in range(10_000)] == [0] * 10_000


def test_a_short_sleep_makes_grants_older(office):
    """Bob has ten seconds: after four and a sleep of five one is left, in the kernel and in the store."""
    office.judge(office.claim(client=1))
    office.clock.advance(4)
    assert suspend(office, 5) == []
    (installed,) = office.dataplane.installed()
    (held,) = office.store.live()
    assert installed == held.grant
    assert read(office.clock).monotonic_ns - installed.last_ns == 9 * S
    office.clock.advance(0.9)
    assert office.receive(packet=Packet.OTHER)
    office.clock.advance(10.1)
    assert not office.receive()


def test_a_long_sleep_ends_them(office):
    """At once, in kernel and store; what another client holds longer stays."""
    office.judge(office.claim(), office.claim(client=1))
    assert suspend(office, 20) == [Ended("bob", HERE, (SSH,))]
    assert {client for client, _, _ in office.held()} == {"alice"}
    assert office.receive(packet=Packet.OTHER)
    ended = suspend(office, 301)
    assert [(each.client, each.source) for each in ended] == [("alice", HERE)]
    assert not office.receive()
    assert list(office.dataplane.installed()) == []


def test_what_packets_did_before_the_sleep_counts(office):
    """The kernel knows it; no sweep has seen it yet."""
    office.judge(office.claim(client=1))
    office.clock.advance(9)
    assert office.receive(packet=Packet.OTHER)
    assert suspend(office, 8) == []
    office.clock.advance(1.5)
    assert office.receive(packet=Packet.OTHER)


def test_max_sec_counts_sleep_and_never_does_not():
    """The end of a grant comes nearer; -1 stays -1."""
    endless = evolve(BOB, idle_s=-1, grace_s=-1, max_s=-1)
    office = Office(evolve(SETTINGS, clients=(evolve(ALICE, idle_s=-1, max_s=100), endless)))
    office.judge(office.claim(), office.claim(THERE, client=1))
    assert suspend(office, 99) == []
    office.clock.advance(0.9)
    assert office.receive()
    office.clock.advance(0.2)
    assert not office.receive()
    assert {each.client for each in suspend(office, 10**8)} == {"alice"}
    assert office.receive(THERE)
    (grant,) = office.dataplane.installed()
    assert (grant.idle_ns, grant.grace_ns, grant.end_ns) == (NEVER_NS, NEVER_NS, NEVER_NS)


def test_a_machine_that_was_just_booted():
    """A last packet from before the boot: the kernel's time has no sign, so it gets what is left."""
    early = Office()
    early.clock = FakeClock(early.clock.unix_ms(), monotonic_ns=2 * S)
    early.dataplane._clock = early.clock
    early.judge(early.claim())
    assert suspend(early, 55) == []
    early.clock.advance(4)
    assert early.receive(packet=Packet.OTHER)
    late = Office()
    late.clock = FakeClock(late.clock.unix_ms(), monotonic_ns=2 * S)
    late.dataplane._clock = late.clock
    late.judge(late.claim())
    assert suspend(late, 55) == []
    late.clock.advance(6)
    assert not late.receive(packet=Packet.OTHER)


def session(last_s, state=SessionState.OPEN, service=SSH):
    """Return a session that was opened after a second."""
    here = HERE.address
    return Session(HERE, service, here, 40000, 1 * S, last_s * S, state)


def orders(slept_s, now_s, *sessions, live=()):
    """Return what becomes of sessions that may be silent for an hour."""
    view = View(sessions, None, live, SETTINGS.services, now_s * S)
    return Sessions(3600 * S).slept(view, slept_s * S)


def test_sessions_age():
    """OPEN by SESSION_SEC, CLOSING by two minutes; their owners are told by when they were opened."""
    fresh, closing = session(1000), session(1000, SessionState.CLOSING)
    found = orders(100, 1010, fresh, closing)
    assert found.changes == [(each, evolve(each, last_ns=900 * S)) for each in (fresh, closing)]
    assert (found.ended, found.counts) == ([], {(HERE, SSH): 2})
    found = orders(200, 1010, fresh, closing)
    assert (found.ended, found.counts) == ([closing], {(HERE, SSH): 1})
    found = orders(3600, 1010, fresh, closing)
    assert found.ended == [fresh, closing]


def test_sessions_of_a_live_grant_do_not_end():
    """Its packets come by the grant."""
    found = orders(10_000, 1010, session(1000), live={(HERE, SSH)})
    assert found.ended == []
    ((_, after),) = found.changes
    assert after.last_ns == 0, "a time before this boot cannot be written"
