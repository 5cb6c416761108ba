# SPDX-License-Identifier: MIT
"""Sessions in the kernel's maps: what user space and the programs write, each reads as the other meant it."""

from __future__ import annotations

import time
from ipaddress import IPv4Address, IPv6Address

import packets
import pytest
from attrs import evolve
from coarse import catch_up, coarse_ns
from hypothesis import given
from hypothesis import strategies as st
from lab import settings

from spale_bpf import _abi, codec, libbpf
from spale_bpf.dataplane import open_object
from spale_bpf.maps import PolicyMaps
from spale_bpf.session_maps import SessionMaps
from spale_core import sessions as sweeping
from spale_core.model import (
    NEVER_NS,
    Connection,
    Grant,
    Protocol,
    Reason,
    Service,
    Session,
    SessionState,
    Source,
)
from spale_core.sessions import Sessions, View
from spale_core.testing import fake_sessions

pytestmark = pytest.mark.kernel

S = 1_000_000_000
SSH = Service(Protocol.TCP, 22)
CLIENT, SERVER = IPv4Address(packets.CLIENT4), IPv4Address(packets.SERVER4)
PAIR = Source(CLIENT), SSH
SETTINGS = settings(max_sessions=100, session_s=3600)

link_local = st.integers(0, 2**64 - 1).map(lambda host: IPv6Address(0xFE80 << 112 | host))
global6 = st.ip_addresses(v=6).filter(lambda each: each.ipv4_mapped is None and not each.is_link_local)
sources = st.one_of(
    st.builds(Source, st.ip_addresses(v=4)),
    st.builds(Source, global6),
    st.builds(Source, link_local, st.integers(1, 2**32 - 1)),
)
moments = st.integers(0, 2**64 - 1)
all_sessions = st.builds(
    Session,
    sources,
    st.builds(Service, st.just(Protocol.TCP), st.integers(1, 65535)),
    st.one_of(st.ip_addresses(v=4), global6, link_local),
    st.integers(0, 65535),
    moments,
    moments,
    st.sampled_from(SessionState),
)


class Kernel:
    """The loaded TC program and its maps."""

    def __init__(self, loaded):
        """Protect the service."""
        self._program = loaded.program_fd("spale_tc_eth")
        self._counts = loaded.map_fd("spale_session_counts")
        self.policy = PolicyMaps(loaded.map_fd, SETTINGS)
        self.policy.set_services([SSH])
        self.maps = SessionMaps(loaded.map_fd)

    def grant(self, idle_s=60):
        """Let the client in; an idle window of 0 is over by the next packet."""
        now_ns = time.monotonic_ns()
        self.policy.allow([Grant(*PAIR, now_ns - S, idle_s * S, 0, NEVER_NS)])

    def end_grant(self):
        """Let it out again."""
        self.policy.revoke([PAIR])

    def sessions(self):
        """Return the sessions by source port."""
        return {session.source_port: session for session in self.maps.sessions()}

    def passes(self, flags, port=packets.SOURCE_PORT):
        """Run the program on a packet of the client; tell whether it passes."""
        segment = packets.tcp(SSH.port, flags, source_port=port)
        frame = packets.ethernet(packets.ipv4(segment, packets.TCP), packets.ETH_IPV4)
        verdict = libbpf.prog_test_run(self._program, frame, 1).retval
        return verdict != 2  # TC_ACT_SHOT

    def count(self):
        """Return how many sessions the program believes that the client has."""
        value = libbpf.map_lookup(self._counts, codec.grant_key(*PAIR), 4)
        return None if value is None else int.from_bytes(value, "little")


@pytest.fixture
def kernel():
    """Return a kernel with the program."""
    with open_object("spale_tc", SETTINGS) as loaded:
        loaded.load()
        yield Kernel(loaded)


def a_session(port=packets.SOURCE_PORT, age_s=0.0, **changes):
    """Return a session of the client whose last packet, its SYN, came `age_s` ago."""
    at_ns = time.monotonic_ns() - int(age_s * S)
    return Session(*PAIR, SERVER, port, **{"opened_ns": at_ns, "last_ns": at_ns, **changes})


@given(all_sessions)
def test_sessions_survive_the_way_through_bytes(session):
    """Every session is the same after encoding and decoding."""
    assert codec.session(codec.session_key(session.connection), codec.session_value(session)) == session


def test_the_rules_numbers_are_the_programs(kernel):
    """What Python says of the table is what the C header says."""
    assert sweeping.CLOSING_NS == fake_sessions._CLOSING_NS == _abi.CLOSING_S * S
    assert fake_sessions._PER_PAIR == _abi.SESSIONS_PER_PAIR
    assert kernel.sessions() == {}


def test_a_syn_opens_what_user_space_reads(kernel):
    """The session has the SYN's addresses, ports and time; the next SYN restarts it."""
    kernel.grant()
    before_ns = coarse_ns()
    assert kernel.passes(packets.SYN)
    (session,) = kernel.maps.sessions()
    assert session.connection == Connection(*PAIR, SERVER, packets.SOURCE_PORT)
    assert before_ns <= session.opened_ns == session.last_ns <= time.monotonic_ns()
    assert session.state is SessionState.OPEN
    catch_up()
    assert kernel.passes(packets.SYN)
    assert kernel.sessions()[packets.SOURCE_PORT].opened_ns > session.opened_ns
    assert kernel.count() == 1


@pytest.mark.parametrize("opened_ns", [0, 1])
def test_what_user_space_puts_lets_packets_in(kernel, opened_ns):
    """Adopted or not, for as long as SESSION_SEC says, in its own ports only, and no SYN."""
    kernel.maps.put_sessions([a_session(age_s=3590, opened_ns=opened_ns), a_session(port=9, age_s=3601)])
    before_ns = coarse_ns()
    assert kernel.passes(packets.ACK)
    assert not kernel.passes(packets.ACK, port=7)
    assert not kernel.passes(packets.ACK, port=9)
    assert not kernel.passes(packets.SYN)
    assert before_ns <= kernel.sessions()[packets.SOURCE_PORT].last_ns <= time.monotonic_ns()


def test_a_closing_session_has_two_minutes(kernel):
    """From its last packet."""
    closing = {"state": SessionState.CLOSING}
    kernel.maps.put_sessions([a_session(1, 115, **closing), a_session(2, 121, **closing)])
    assert kernel.passes(packets.ACK, port=1)
    assert not kernel.passes(packets.ACK, port=2)


def test_a_blind_reset_is_taken_back(kernel):
    """The program closes the session, the sweep finds the connection at the host and opens it again."""
    kernel.maps.put_sessions([a_session(age_s=100)])
    assert kernel.passes(packets.RST)
    assert kernel.sessions()[packets.SOURCE_PORT].state is SessionState.CLOSING
    sweep(kernel, Sessions(3600 * S), {a_session().connection})
    assert kernel.sessions()[packets.SOURCE_PORT].state is SessionState.OPEN
    assert kernel.passes(packets.ACK)


def test_what_was_restarted_meanwhile_is_not_ended(kernel):
    """A SYN between the sweep's look and its end: the new session stays as it is."""
    kernel.maps.put_sessions([a_session(age_s=4000)])
    kernel.grant()
    old = kernel.maps.sessions()
    assert kernel.passes(packets.SYN)
    restarted = kernel.maps.sessions()
    kernel.maps.end_sessions(old)
    kernel.maps.change_sessions([(old[0], a_session(state=SessionState.CLOSING))])
    assert kernel.maps.sessions() == restarted != old
    kernel.end_grant()
    assert kernel.passes(packets.ACK)


def test_a_fin_between_look_and_renewal_stays(kernel):
    """A renewal does not open again what the program closed since."""
    kernel.grant()
    kernel.passes(packets.SYN)
    (session,) = kernel.maps.sessions()
    kernel.passes(packets.FIN | packets.ACK)
    kernel.maps.change_sessions([(session, a_session(opened_ns=session.opened_ns))])
    assert kernel.sessions()[packets.SOURCE_PORT].state is SessionState.CLOSING


def test_the_sixty_fifth_is_counted_and_room_comes_back(kernel):
    """64 of one source and service; the counts that a sweep writes are those that the program goes by."""
    kernel.grant()
    assert all(kernel.passes(packets.SYN, port) for port in range(1, 66))
    assert len(kernel.sessions()) == 64
    assert kernel.policy.counters()[Reason.UNTRACKED].count == 1
    kernel.maps.set_session_counts({PAIR: 3})
    assert kernel.count() == 3
    assert kernel.passes(packets.SYN, port=66)
    assert len(kernel.sessions()) == 65
    assert kernel.count() == 4
    kernel.maps.set_session_counts({})
    assert kernel.count() is None


def test_a_crowd_of_leftovers(kernel):
    """Connections that the server reset at once: older than a minute they make room, 31 may stay."""
    kernel.maps.put_sessions([a_session(port, 70 + port) for port in range(1, 65)])
    kernel.maps.set_session_counts({PAIR: 64})
    sweeper = Sessions(3600 * S)
    sweep(kernel, sweeper, set())
    states = {port: session.state for port, session in kernel.sessions().items()}
    assert {port for port, state in states.items() if state is SessionState.OPEN} == set(range(1, 32))
    sweep(kernel, sweeper, set(), late_s=121)
    assert len(kernel.sessions()) == kernel.count() == 31
    kernel.grant()
    assert kernel.passes(packets.SYN, port=100)
    assert kernel.count() == 32


def test_a_full_map_is_no_reason_to_drop(kernel):
    """The SYN passes by its grant, and is counted as untracked."""
    stranger = evolve(a_session(), source=Source(IPv4Address("8.0.9.9")))
    kernel.maps.put_sessions([evolve(stranger, source_port=port) for port in range(1, 101)])
    kernel.grant()
    assert kernel.passes(packets.SYN)
    assert kernel.policy.counters()[Reason.UNTRACKED].last_source == Source(CLIENT)
    assert len(kernel.sessions()) == 100


def test_without_sessions_only_the_grant_decides():
    """SESSION_SEC=0: nothing is opened, and what is there lets nothing in."""
    with open_object("spale_tc", SETTINGS) as loaded:
        loaded.load()
        kernel = Kernel(loaded)
        PolicyMaps(loaded.map_fd, settings(max_sessions=100, session_s=0)).set_services([SSH])
        kernel.grant()
        assert kernel.passes(packets.SYN)
        assert kernel.sessions() == {}
        kernel.end_grant()
        kernel.maps.put_sessions([a_session()])
        assert not kernel.passes(packets.ACK)


def sweep(kernel, sweeper, host, late_s=0):
    """Sweep the kernel's sessions, without a live grant."""
    now_ns = time.monotonic_ns() + late_s * S
    orders = sweeper.sweep(View(kernel.maps.sessions(), host, frozenset(), {SSH}, now_ns))
    kernel.maps.end_sessions(orders.ended)
    kernel.maps.change_sessions(orders.changes)
    kernel.maps.set_session_counts(orders.counts)
