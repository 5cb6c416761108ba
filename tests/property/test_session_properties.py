# SPDX-License-Identifier: MIT
"""Random packets, grants, hosts and sweeps: what holds for sessions whatever happens."""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from spale_core.interfaces import DataplaneSettings
from spale_core.model import Connection, Grant, Protocol, Reason, Service, SessionState, Source
from spale_core.sessions import CLOSING_NS, Sessions, View, live_pairs
from spale_core.testing import FakeClock, FakeDataplane, Packet

S = 1_000_000_000
SESSION_S = 300
HERE = ip_address("192.0.2.1")
SERVICES = tuple(Service(Protocol.TCP, port) for port in (22, 443))
SOURCES = tuple(Source(ip_address(address)) for address in ("198.51.100.7", "2001:db8::7"))
PORTS = range(40000, 40070)
SMALL = DataplaneSettings(
    spa_port=55555,
    rate=0,
    burst=1,
    max_grants=4,
    max_sources=4,
    max_tags=4,
    max_sessions=150,
    session_s=SESSION_S,
)

pairs = st.tuples(st.sampled_from(SOURCES), st.sampled_from(SERVICES))
ports = st.sampled_from(PORTS)


class World(RuleBasedStateMachine):
    """A dataplane, a host behind it, and the sweeper between them."""

    def __init__(self):
        """Begin with everything protected and nobody let in."""
        super().__init__()
        self.clock = FakeClock()
        self.dataplane = FakeDataplane(SMALL, self.clock)
        self.dataplane.set_services(SERVICES)
        self.sweeper = Sessions(SESSION_S * S)
        self.host = set()
        self.forwarded = set()
        self.protected = set(SERVICES)

    @property
    def now_ns(self):
        """Return the time."""
        return self.clock.monotonic_ns()

    def sessions(self):
        """Return the sessions by connection."""
        return {session.connection: session for session in self.dataplane.sessions()}

    @rule(pair=pairs, idle_s=st.integers(1, 60))
    def knock(self, pair, idle_s):
        """Grant."""
        self.dataplane.allow([Grant(*pair, self.now_ns, idle_s * S, 2 * idle_s * S, self.now_ns + 600 * S)])

    @rule(pair=pairs)
    def revoke(self, pair):
        """End a grant."""
        self.dataplane.revoke([pair])

    @rule(
        pair=pairs, first=ports, many=st.integers(1, 70), fate=st.sampled_from(["host", "forwarded", "reset"])
    )
    def connect(self, pair, first, many, fate):
        """Send SYNs; the host takes those that pass, sends them on, or resets them."""
        for port in range(first, min(first + many, PORTS.stop)):
            which = Connection(*pair, HERE, port)
            if self.dataplane.receive(*pair, Packet.NEW, port) and fate == "host":
                self.host.add(which)

    @rule(pair=pairs, port=ports, packet=st.sampled_from(list(Packet)))
    def blind(self, pair, port, packet):
        """Send something that TCP itself will not take: it changes nothing at the host."""
        before = {(grant.source, grant.service): grant for grant in self.dataplane.installed()}
        was_live = pair in live_pairs(before.values(), self.now_ns)
        which = Connection(*pair, HERE, port)
        had = self.sessions().get(which)
        passed = self.dataplane.receive(*pair, packet, port)
        if not was_live and packet is not Packet.NEW:
            assert {(grant.source, grant.service): grant for grant in self.dataplane.installed()} == before
            assert passed == (packet is not Packet.ODD and had is not None and self.is_good(had))

    @rule(first=ports)
    def hang_up(self, first):
        """Let the host lose some of its connections."""
        self.host = {which for which in self.host if which.source_port % 7 != first % 7}

    @rule(seconds=st.sampled_from([1, 5, 30, 61, 121, SESSION_S]))
    def wait(self, seconds):
        """Let time pass."""
        self.clock.advance(seconds)

    @rule(unprotected=st.sampled_from([None, *SERVICES]))
    def reload(self, unprotected):
        """Protect other services."""
        self.protected = set(SERVICES) - {unprotected}

    def is_good(self, session):
        """Tell whether a packet of `session` passes by it."""
        window_ns = SESSION_S * S if session.state is SessionState.OPEN else CLOSING_NS
        return self.now_ns - session.last_ns <= window_ns

    @rule(host_tells=st.booleans())
    def sweep(self, host_tells):
        """Sweep, and hold the orders against what spec.md promises."""
        before = self.sessions()
        live = live_pairs(self.dataplane.installed(), self.now_ns)
        host = self.host if host_tells else None
        orders = self.sweeper.sweep(View(before.values(), host, live, self.protected, self.now_ns))
        for session in orders.ended:
            if session.service in self.protected:
                assert (session.source, session.service) not in live
                assert not self.is_good(session)
            if host is not None and session.connection in host and session.service in self.protected:
                assert self.now_ns - session.last_ns > SESSION_S * S, "only long silence ends it"
        for was, becomes in orders.changes:
            assert (was.connection, was.opened_ns) == (becomes.connection, becomes.opened_ns)
            assert was.last_ns <= becomes.last_ns <= self.now_ns
        self.dataplane.end_sessions(orders.ended)
        self.dataplane.change_sessions(orders.changes)
        self.dataplane.set_session_counts(orders.counts)
        self.check(before, live, host)

    def check(self, before, live, host):
        """Look at what is there after a sweep."""
        after = self.sessions()
        counted = {}
        for which, session in after.items():
            pair = session.source, session.service
            counted[pair] = counted.get(pair, 0) + 1
            assert session.service in self.protected
            if host is not None and which in host:
                assert session.state is SessionState.OPEN, "what the host has is open"
            if pair in live and session.state is SessionState.OPEN:
                assert session.last_ns == self.now_ns, "what is open under a live grant is renewed"
            if pair not in live:
                assert self.is_good(session), "what is silent for too long is gone"
        assert counted == self.dataplane.counts
        for which, session in before.items():
            alive = session.service in self.protected and self.is_good(session)
            assert which in after or not alive, "what still lets packets in is not ended"

    @precondition(lambda self: self.dataplane.counts)
    @invariant()
    def no_pair_has_too_many(self):
        """64 is the most that the program opens for one source and service."""
        assert max(self.dataplane.counts.values()) <= 64

    @invariant()
    def what_is_counted_is_there(self):
        """Between sweeps nothing ends, so the program's own count is right too."""
        held = {}
        for session in self.dataplane.sessions():
            pair = session.source, session.service
            held[pair] = held.get(pair, 0) + 1
        assert held == self.dataplane.counts

    @invariant()
    def refusals_have_a_name(self):
        """Whatever was dropped was counted under a reason of the table."""
        known = {Reason.NO_GRANT, Reason.GRANT_DEAD, Reason.GRANT_GRACE, Reason.BAD_FLAGS, Reason.UNTRACKED}
        assert self.dataplane.counters().keys() <= known


TestWorld = World.TestCase
