# SPDX-License-Identifier: MIT
"""What a sweep makes of sessions: the text of spec.md, "The packet's way in", sentence by sentence."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from attrs import evolve

from spale_core.model import NEVER_NS, Connection, Grant, Protocol, Service, Session, SessionState, Source
from spale_core.sessions import CROWD, Sessions, View, adopted, live_pairs

S = 1_000_000_000
SESSION_S = 3600
SSH, WEB = Service(Protocol.TCP, 22), Service(Protocol.TCP, 443)
CLIENT, OTHER = (Source(ip_address(f"198.51.100.{host}")) for host in (7, 8))
HERE = ip_address("192.0.2.1")
OPEN, CLOSING = SessionState


def connection(port=40000, source=CLIENT, service=SSH):
    """Return a connection from that port."""
    return Connection(source, service, HERE, port)


class Lab:
    """Sweeps by hand: time, sessions, host and grants are what a test says."""

    def __init__(self, session_s=SESSION_S):
        """Begin with nothing, a day after the machine started."""
        self.sweeper = Sessions(session_s * S)
        self.now_s = 86400
        self.sessions = {}
        self.host = set()
        self.live = set()
        self.services = {SSH, WEB}
        self.counts = {}

    def open(self, which, *, on_host=False, age_s=0, opened_s=None, state=OPEN):
        """Let a SYN open a session, whose last packet came `age_s` ago."""
        last_ns = (self.now_s - age_s) * S
        opened_ns = last_ns if opened_s is None else opened_s * S
        self.sessions[which] = Session(*which, opened_ns=opened_ns, last_ns=last_ns, state=state)
        if on_host:
            self.host.add(which)

    def sweep(self, after_s=5):
        """Let time pass, sweep, and do what was ordered; return the orders."""
        self.now_s += after_s
        view = View(list(self.sessions.values()), self.host, self.live, self.services, self.now_s * S)
        orders = self.sweeper.sweep(view)
        for before, after in orders.changes:
            assert self.sessions[before.connection] == before != after
            self.sessions[before.connection] = after
        for session in orders.ended:
            del self.sessions[session.connection]
        self.counts = orders.counts
        return orders

    def states(self):
        """Return the states by source port."""
        return {session.source_port: session.state for session in self.sessions.values()}


@pytest.fixture
def lab():
    """Return a lab."""
    return Lab()


def test_a_closing_session_that_the_host_has_is_open_again(lab):
    """A FIN or RST that the host did not take, or a half-closed connection: nobody is cut off."""
    lab.open(connection(), on_host=True, state=CLOSING, age_s=3)
    lab.sweep()
    (session,) = lab.sessions.values()
    assert session.state is OPEN
    assert session.last_ns == (lab.now_s - 8) * S


def test_a_closing_session_that_the_host_has_is_never_too_late(lab):
    """Even if no sweep came for long: the connection stands."""
    lab.open(connection(), on_host=True, state=CLOSING)
    lab.sweep(after_s=1000)
    assert lab.states() == {40000: OPEN}


def test_an_open_session_that_the_host_had_is_closing(lab):
    """From the sweep that misses it on it has two minutes for its last packets."""
    lab.open(connection(), on_host=True, age_s=600)
    lab.sweep()
    lab.host.clear()
    lab.sweep()
    (session,) = lab.sessions.values()
    assert (session.state, session.last_ns) == (CLOSING, lab.now_s * S)
    lab.sweep(after_s=120)
    assert lab.states() == {40000: CLOSING}
    lab.sweep(after_s=1)
    assert lab.states() == {}


def test_what_the_host_never_had_stays(lab):
    """Forwarded, or a container's: the host knows nothing about it."""
    lab.open(connection())
    for _ in range(3):
        assert lab.sweep().changes == []
    assert lab.states() == {40000: OPEN}


def test_a_new_connection_on_the_same_ports_begins_anew(lab):
    """What the host had was the earlier connection; this one it has not taken yet."""
    lab.open(connection(), on_host=True)
    lab.sweep()
    lab.host.clear()
    lab.open(connection())
    lab.sweep()
    assert lab.states() == {40000: OPEN}


def test_what_was_adopted_came_from_the_host(lab):
    """If it is gone at the first sweep, it is closing."""
    lab.open(connection(), opened_s=0)
    lab.sweep()
    assert lab.states() == {40000: CLOSING}


def test_silence_ends_an_open_session(lab):
    """SESSION_SEC after its last packet, whether the host has it or not."""
    lab.open(connection(1), on_host=True)
    lab.open(connection(2))
    lab.sweep(after_s=SESSION_S)
    assert lab.states() == {1: OPEN, 2: OPEN}
    lab.sweep(after_s=1)
    assert lab.states() == {}


def test_what_is_over_does_not_live_on_as_closing(lab):
    """It has been silent for too long and the host has lost it, both at once: that is no new life."""
    lab.open(connection(), on_host=True)
    lab.sweep(after_s=SESSION_S)
    lab.host.clear()
    lab.sweep(after_s=1)
    assert lab.states() == {}


def test_a_live_grant_renews_its_open_sessions(lab):
    """Their packets come by the grant; the silence that counts begins when it is LIVE no more."""
    lab.open(connection())
    lab.live.add((CLIENT, SSH))
    for _ in range(5):
        lab.sweep(after_s=SESSION_S)
    lab.live.clear()
    lab.sweep(after_s=SESSION_S)
    assert lab.states() == {40000: OPEN}
    lab.sweep(after_s=1)
    assert lab.states() == {}


def test_renewing_costs_little(lab):
    """A thousand times in SESSION_SEC is enough: not at every sweep."""
    lab.open(connection())
    lab.live.add((CLIENT, SSH))
    assert lab.sweep(after_s=3).changes == []
    assert len(lab.sweep(after_s=1).changes) == 1


def test_a_live_grant_renews_only_its_own(lab):
    """Another service, or another source, has a grant of its own."""
    for which in (connection(1), connection(2, OTHER), connection(3, service=WEB)):
        lab.open(which)
    lab.live.add((CLIENT, SSH))
    lab.sweep()
    renewed = {session.source_port for session in lab.sessions.values() if session.last_ns == lab.now_s * S}
    assert renewed == {1}


def test_nothing_closing_ends_under_a_live_grant(lab):
    """Nor is it renewed: two minutes after its last packet it ends as soon as the grant is LIVE no more."""
    lab.open(connection(), state=CLOSING)
    lab.live.add((CLIENT, SSH))
    assert lab.sweep(after_s=1000).changes == []
    assert lab.states() == {40000: CLOSING}
    lab.live.clear()
    lab.sweep()
    assert lab.states() == {}


def test_a_crowd_loses_its_oldest_strangers(lab):
    """Of 32 and more, those older than a minute and never seen at the host, until 31 are open."""
    for port in range(40):
        lab.open(connection(port), opened_s=lab.now_s - 100 - port, on_host=port in (38, 39))
    lab.sweep()
    closing = {port for port, state in lab.states().items() if state is CLOSING}
    assert closing == set(range(29, 38))
    assert lab.counts == {(CLIENT, SSH): 40}
    lab.sweep(after_s=121)
    assert lab.counts == {(CLIENT, SSH): 31}


def test_fewer_are_no_crowd(lab):
    """31 of one source and service may be as old and as strange as they like; another source has its own."""
    for port in range(CROWD - 1):
        lab.open(connection(port), opened_s=lab.now_s - 1000)
        lab.open(connection(port, OTHER), opened_s=lab.now_s - 1000)
    assert lab.sweep().changes == []


def test_the_young_may_be_many(lab):
    """A minute is what a connection may need to reach the host, or a page to load."""
    for port in range(64):
        lab.open(connection(port), opened_s=lab.now_s - 55)
    lab.sweep()
    assert set(lab.states().values()) == {OPEN}
    lab.sweep()
    assert sorted(lab.states().values(), key=str).count(CLOSING) == 64 - 31


def test_a_service_that_is_not_protected_any_more(lab):
    """All of its sessions end, also under a live grant, also those that the host has."""
    lab.open(connection(1), on_host=True)
    lab.open(connection(2, service=WEB), on_host=True)
    lab.live |= {(CLIENT, SSH), (CLIENT, WEB)}
    lab.services.remove(SSH)
    lab.sweep()
    assert lab.states() == {2: OPEN}


def test_counts_are_of_what_is_left(lab):
    """Open and closing ones alike, by source and service."""
    lab.open(connection(1))
    lab.open(connection(2), state=CLOSING)
    lab.open(connection(3), state=CLOSING, age_s=200)
    lab.open(connection(4, OTHER))
    lab.open(connection(5, service=WEB), age_s=SESSION_S)
    lab.sweep()
    assert lab.counts == {(CLIENT, SSH): 2, (OTHER, SSH): 1}


def test_a_host_that_does_not_tell_changes_nothing(lab):
    """Silence still ends sessions, live grants still renew them, but nothing is taken for gone."""
    lab.open(connection(1), on_host=True)
    lab.open(connection(2), state=CLOSING)
    lab.sweep()
    lab.host = None
    assert lab.sweep().changes == []
    lab.sweep(after_s=120)
    assert lab.states() == {1: OPEN}
    lab.host = set()
    lab.sweep()
    assert lab.states() == {1: CLOSING}


def test_a_packet_that_is_newer_than_the_sweep(lab):
    """What came between the look at the clock and the look at the map is not set back."""
    lab.open(connection(), age_s=-6)
    lab.live.add((CLIENT, SSH))
    assert lab.sweep().changes == []


def test_a_short_session_time():
    """SESSION_SEC may be shorter than what a CLOSING session has."""
    lab = Lab(session_s=2)
    lab.open(connection(1), on_host=True)
    lab.open(connection(2), state=CLOSING)
    lab.sweep()
    assert lab.states() == {2: CLOSING}


def test_who_is_adopted():
    """Everybody from outside; from the loopback nobody, and no more than there is room for."""
    local = connection(1, Source(ip_address("::1")))
    ports = range(2, 7)
    sessions, left_out = adopted([local, *map(connection, ports)], 7 * S, 4)
    assert [session.connection for session in sessions] == [connection(port) for port in (2, 3, 4, 5)]
    assert {(session.opened_ns, session.last_ns, session.state) for session in sessions} == {(0, 7 * S, OPEN)}
    assert left_out == 1


@pytest.mark.parametrize(
    ("changes", "is_live"),
    [
        ({}, True),
        ({"last_ns": 40 * S}, True),
        ({"last_ns": 40 * S - 1}, False),
        ({"last_ns": 200 * S}, True),
        ({"idle_ns": NEVER_NS, "last_ns": 0}, True),
        ({"end_ns": 100 * S}, False),
        ({"end_ns": NEVER_NS}, True),
    ],
)
def test_what_live_is(changes, is_live):
    """Age at most idle, and its end not yet reached."""
    grant = evolve(Grant(CLIENT, SSH, 90 * S, 60 * S, 300 * S, 1000 * S), **changes)
    assert live_pairs([grant], 100 * S) == ({(CLIENT, SSH)} if is_live else set())
