# SPDX-License-Identifier: MIT
"""Sessions in the daemon: adopted at the first attach, swept from then on."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from attrs import evolve

from spale_core.config.settings import Settings
from spale_core.errors import UnavailableError
from spale_core.hostsockets import ALIVE, ESTABLISHED
from spale_core.interfaces import DataplaneSettings
from spale_core.log import Log
from spale_core.model import Connection, Grant, Protocol, Reason, Service, Session, SessionState, Source
from spale_core.monitor.keeper import SessionKeeper
from spale_core.monitor.report import Reporter
from spale_core.testing import FakeClock, FakeDataplane, Packet

S = 1_000_000_000
SSH = Service(Protocol.TCP, 22)
CLIENT = Source(ip_address("198.51.100.7"))
HERE = ip_address("192.0.2.1")
SETTINGS = Settings(
    interfaces=("eth0",),
    listen_port=55555,
    services=frozenset({SSH}),
    server_keys=(),
    clients=(),
    session_s=600,
    max_sessions=66,
)


def connection(port=40000):
    """Return a connection of the client from that port."""
    return Connection(CLIENT, SSH, HERE, port)


class Host:
    """A host with connections, and a daemon's parts on it."""

    def __init__(self, **changes):
        """Attach to nothing yet; `changes` are of the settings."""
        settings = evolve(SETTINGS, **changes)
        self.lines = []
        self.clock = FakeClock()
        sizes = {"max_sessions": settings.max_sessions, "session_s": settings.session_s}
        self.dataplane = FakeDataplane(
            DataplaneSettings(
                spa_port=55555, rate=0, burst=1, max_grants=4, max_sources=4, max_tags=4, **sizes
            ),
            self.clock,
            {},
        )
        self.dataplane.set_services(settings.services)
        self.log = Log(lambda _level, line: self.lines.append(line), self.clock)
        self.reporter = Reporter(settings, self.log)
        self.keeper = SessionKeeper(settings, self.dataplane, self.log, self.read)
        self.standing = set()
        self.silent = False

    def read(self, services, states):
        """Return what stands to `services`; `standing` has what is established."""
        if self.silent:
            raise UnavailableError("the host's TCP connections (sock_diag): No such file or directory")
        assert set(services) == {SSH}
        assert states in (ALIVE, ESTABLISHED)
        return set(self.standing)

    def prepare(self):
        """Do what comes before the attach."""
        self.keeper.prepare(self.clock.monotonic_ns())

    def finish(self):
        """Attach and do what comes after."""
        self.keeper.finish(self.dataplane.attach(["eth0"]), self.clock.monotonic_ns())

    def grant(self, idle_s=60):
        """Let the client in."""
        now_ns = self.clock.monotonic_ns()
        self.dataplane.allow([Grant(CLIENT, SSH, now_ns, idle_s * S, idle_s * S, now_ns + 3600 * S)])

    def sweep(self, after_s=5):
        """Let time pass and sweep; return the states by port."""
        self.clock.advance(after_s)
        self.keeper.sweep(self.clock.monotonic_ns())
        return {session.source_port: session.state for session in self.dataplane.sessions()}

    def receive(self, port=40000, packet=Packet.OTHER):
        """Let a packet of the client come."""
        return self.dataplane.receive(CLIENT, SSH, packet, port)


@pytest.fixture
def host():
    """Return a host."""
    return Host()


def test_what_stands_at_the_first_attach_goes_on(host):
    """Without a knock; a new connection needs one."""
    host.standing = {connection()}
    host.prepare()
    host.finish()
    assert host.receive()
    assert not host.receive(packet=Packet.NEW)
    assert host.lines == ["adopted count=1"]
    host.sweep()
    assert host.dataplane.counts == {(CLIENT, SSH): 1}


def test_what_is_established_meanwhile_is_adopted_too(host):
    """Between the look before the attach and the attach."""
    host.standing = {connection(1)}
    host.prepare()
    host.standing = {connection(1), connection(2)}
    host.finish()
    assert (host.receive(1), host.receive(2)) == (True, True)
    assert host.lines == ["adopted count=2"]


def test_what_was_adopted_is_not_set_back(host):
    """The second look leaves alone what packets have done to the first one's sessions."""
    host.standing = {connection()}
    host.prepare()
    assert host.receive(packet=Packet.END)
    host.finish()
    assert [session.state for session in host.dataplane.sessions()] == [SessionState.CLOSING]


def test_who_takes_over_adopts_nothing(host):
    """A connection that still stands may be one whose client was revoked: nothing brings it back."""
    host.dataplane.attach(["eth0"])
    host.standing = {connection()}
    host.prepare()
    host.finish()
    assert not host.receive()
    assert host.lines == []


@pytest.mark.parametrize("changes", [{"adopt": False}, {"session_s": 0}])
def test_nothing_is_adopted_where_nobody_wants_it(changes):
    """ADOPT=0, or no sessions at all."""
    host = Host(**changes)
    host.standing = {connection()}
    host.prepare()
    host.finish()
    assert not host.receive()
    assert host.lines == []


def test_more_than_there_is_room_for(host):
    """As many as fit, and the log says how many were left out."""
    host.standing = set(map(connection, range(70)))
    host.prepare()
    host.finish()
    assert host.lines == ["adopted count=66 left_out=4"]


def test_what_is_a_session_already_needs_no_room(host):
    """Taken over from an earlier start: it stays as it was, and what it takes is not there for others."""
    taken_over = [Session(*connection(port), opened_ns=7, last_ns=8) for port in range(64)]
    host.dataplane.put_sessions(taken_over)
    host.standing = set(map(connection, range(70)))
    host.prepare()
    host.finish()
    assert set(taken_over) < set(host.dataplane.sessions())
    assert host.lines == ["adopted count=2 left_out=4"]


def test_a_host_that_does_not_tell_is_not_attached_to(host):
    """Whoever administers it over SSH must not lock himself out; the message says what to do."""
    host.silent = True
    with pytest.raises(UnavailableError, match=r"sock_diag.*tcp_diag.*--no-adopt"):
        host.prepare()
    blind = Host(adopt=False)
    blind.silent = True
    blind.prepare()


def test_a_session_outlives_its_grant(host):
    """Silence of an hour, then data."""
    host.grant()
    assert host.receive(packet=Packet.NEW)
    host.standing = {connection()}
    for _ in range(20):
        host.sweep(after_s=5)
    assert host.receive()
    assert not host.receive(41000)


def test_a_fin_that_the_host_refused(host):
    """It is open again at the next sweep; once the host has lost it, it ends two minutes later."""
    host.grant(idle_s=1)
    host.receive(packet=Packet.NEW)
    host.standing = {connection()}
    host.sweep()
    host.receive(packet=Packet.END)
    assert host.sweep() == {40000: SessionState.OPEN}
    host.standing = set()
    assert host.sweep() == {40000: SessionState.CLOSING}
    assert host.sweep(after_s=121) == {}
    assert host.dataplane.counts == {}


def test_the_sixty_fifth_is_named(host):
    """It passes by its grant; no word of a refusal, but an event of its own with the last source."""
    host.grant()
    assert all(host.receive(port, Packet.NEW) for port in range(66))
    counters = host.dataplane.counters()
    assert counters[Reason.UNTRACKED].count == 2
    host.reporter.counted(counters)
    assert host.lines == ["untracked count=2 last_source=198.51.100.7"]
    host.clock.advance(61)
    assert [host.receive(port) for port in (0, 63, 64, 65)] == [True, True, False, False]


def test_room_comes_back_with_the_sweep(host):
    """What the program counted, the sweep counts anew."""
    host.grant(idle_s=1)
    for port in range(64):
        host.receive(port, Packet.NEW)
    host.sweep(after_s=601)
    host.grant()
    host.receive(64, Packet.NEW)
    assert host.sweep() == {64: SessionState.OPEN}
    assert host.dataplane.counters() == {}


def test_a_host_that_falls_silent_is_named_once(host):
    """Each trouble once; when it is over and comes again, again. Sweeps go on."""
    host.grant(idle_s=1)
    host.receive(packet=Packet.NEW)
    for silent in (True, True, False, True):
        host.silent = silent
        host.sweep()
    assert len(host.lines) == 2
    assert host.lines[0].startswith("error doing=sessions message=")
    assert host.sweep(after_s=601) == {}


def test_no_session_no_sweep():
    """SESSION_SEC=0: nothing is looked at."""
    host = Host(session_s=0)
    host.grant()
    host.receive(packet=Packet.NEW)
    assert host.sweep() == {}
