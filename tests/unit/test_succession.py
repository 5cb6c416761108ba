# SPDX-License-Identifier: MIT
"""Taking over what an earlier daemon left in the kernel."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from attrs import evolve

from spale_core import policy
from spale_core.config.settings import Settings
from spale_core.errors import DataplaneError
from spale_core.interfaces import DataplaneSettings
from spale_core.log import Log
from spale_core.model import Grant, Protocol, Service, Session, SessionState, Source
from spale_core.monitor.succession import Succession
from spale_core.testing import FakeClock, FakeDataplane

S = 1_000_000_000
SSH, WEB = Service(Protocol.TCP, 22), Service(Protocol.TCP, 443)
CLIENT = Source(ip_address("198.51.100.7"))
SHARE = Grant(CLIENT, SSH, last_ns=100 * S, idle_ns=10 * S, grace_ns=0, end_ns=900 * S)
SETTINGS = Settings(("eth0",), 55555, frozenset({SSH}), (), (), max_sessions=4)


def a_session(port, service=SSH, last_s=1, state=SessionState.OPEN):
    """Return a session of the client from that port."""
    return Session(CLIENT, service, ip_address("192.0.2.1"), port, S, last_s * S, state)


class Start:
    """A daemon that starts where another one was."""

    def __init__(self, **changes):
        """Attach nothing yet; `changes` are of the settings."""
        self.lines = []
        self.clock = FakeClock()
        self.earlier, self.dataplane = self._new(), self._new()
        self.dataplane.left = self.earlier
        self.settings = evolve(SETTINGS, **changes)
        self.log = Log(lambda _level, line: self.lines.append(line), self.clock)

    def _new(self):
        sizes = {"max_grants": 4, "max_sources": 4, "max_tags": 4, "max_sessions": 4}
        return FakeDataplane(DataplaneSettings(55555, 0, 1, **sizes, session_s=600), self.clock, {})

    def succession(self):
        """Return what is tested."""
        return Succession(self.settings, self.dataplane, self.log)

    @property
    def sessions(self):
        """Return the new one's sessions by port."""
        return {session.source_port: session for session in self.dataplane.sessions()}


@pytest.fixture
def start():
    """Return a start."""
    return Start()


def test_sessions_go_on_and_what_changes_meanwhile_follows(start):
    """Copied before; after it one that closes, one that was opened, and none that the new one has changed."""
    start.earlier.put_sessions([a_session(1), a_session(2), a_session(3)])
    succession = start.succession()
    succession.prepare()
    assert start.sessions.keys() == {1, 2, 3}
    start.earlier.put_sessions([a_session(1, state=SessionState.CLOSING), a_session(4)])
    start.dataplane.put_sessions([evolve(a_session(2), opened_ns=9 * S)])
    start.earlier.put_sessions([a_session(2, state=SessionState.CLOSING)])
    succession.finish()
    assert start.sessions[1].state is SessionState.CLOSING
    assert start.sessions[2] == evolve(a_session(2), opened_ns=9 * S)
    assert start.sessions.keys() == {1, 2, 3, 4}
    assert start.lines == ["inherited sessions=4"]


def test_grants_that_are_used_while_the_next_one_starts(start):
    """They are as young as packets have made them by the end of it; nothing else about them changes."""
    start.earlier.allow([SHARE, evolve(SHARE, service=WEB)])
    succession = start.succession()
    assert len(succession.grants()) == 2
    # What is restored may be cut, and aged.
    start.dataplane.allow([evolve(SHARE, idle_ns=5 * S), evolve(SHARE, service=WEB, last_ns=90 * S)])
    for now_s, act in ((105, succession.prepare), (107, succession.finish)):
        start.earlier.allow([evolve(SHARE, last_ns=now_s * S)])
        act()
        here = {
            grant.service: (grant.last_ns // S, grant.idle_ns // S) for grant in start.dataplane.installed()
        }
        assert here == {SSH: (now_s, 5), WEB: (90, 10)}


def test_what_has_ended_is_not_brought_back_by_its_use(start):
    """Nor what the new one knows to have been used later."""
    start.earlier.allow([SHARE, evolve(SHARE, service=WEB)])
    succession = start.succession()
    succession.grants()
    start.dataplane.allow([evolve(SHARE, last_ns=120 * S)])
    start.earlier.allow([evolve(SHARE, last_ns=110 * S), evolve(SHARE, service=WEB, last_ns=110 * S)])
    succession.prepare()
    succession.finish()
    assert list(start.dataplane.installed()) == [evolve(SHARE, last_ns=120 * S)]


def test_only_what_is_protected_goes_on(start):
    """And only where sessions are tracked."""
    start.earlier.put_sessions([a_session(1), a_session(2, WEB)])
    start.succession().prepare()
    assert start.sessions.keys() == {1}
    without = Start(session_s=0)
    without.earlier.put_sessions([a_session(1)])
    without.succession().prepare()
    assert without.sessions == {}


def test_the_last_used_go_on_where_room_is_short():
    """MAX_SESSIONS has shrunk."""
    start = Start(max_sessions=2)
    start.earlier.put_sessions([a_session(port, last_s=port) for port in (1, 2, 3, 4)])
    start.succession().prepare()
    assert start.sessions.keys() == {3, 4}


@pytest.mark.parametrize("method", ["predecessor", "grants", "sessions"])
def test_what_cannot_be_read_keeps_nobody_from_starting(start, method):
    """It is said, and the start goes on without."""

    def fail(*_):
        raise DataplaneError("no")

    setattr(start.dataplane if method == "predecessor" else start.earlier, method, fail)
    succession = start.succession()
    assert succession.grants() == {}
    succession.prepare()
    succession.finish()
    assert start.lines[0] == "error doing=succession message=no"
    assert start.sessions == {}


def test_nothing_left_nothing_said(start):
    """The first start."""
    start.dataplane.left = None
    succession = start.succession()
    assert succession.grants() == {}
    succession.prepare()
    succession.finish()
    assert start.lines == []


@pytest.mark.parametrize(
    ("changes", "last_s"),
    [
        ({"last_ns": 105 * S}, 105),
        ({"last_ns": 700 * S}, 700),  # every packet on the way was judged by these very windows
        ({"last_ns": 90 * S}, 100),
        ({"last_ns": 950 * S}, 100),
        ({"last_ns": 105 * S, "idle_ns": 60 * S}, 105),
        ({"last_ns": 111 * S, "idle_ns": 60 * S}, 100),  # another client's wider window let it in
    ],
)
def test_the_last_packet_of_a_share(changes, last_s):
    """The kernel's, if it is known to have extended the share."""
    assert policy.extended(SHARE, evolve(SHARE, **changes)).last_ns == last_s * S
