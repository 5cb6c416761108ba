# SPDX-License-Identifier: MIT
"""The monitor's sweep: what packets did in the kernel is taken over, and what is dead ends."""

from __future__ import annotations

import pytest
from attrs import evolve
from office import ALICE, BOB, HERE, SETTINGS, SSH, THERE, WEB, Office

from spale_core.ageing import Ended
from spale_core.errors import StoreError
from spale_core.testing import Packet

S = 1_000_000_000


@pytest.fixture
def office():
    """Return an office."""
    return Office()


def test_silence_ends_a_grant(office):
    """The sweep takes it out of store and kernel and says so."""
    office.judge(office.claim(client=1))
    assert office.sweep() == []
    office.clock.advance(6)
    assert office.sweep() == [Ended("bob", HERE, (SSH,))]
    assert office.held() == set()
    assert list(office.dataplane.installed()) == []
    assert office.sweep() == []


def test_packets_keep_a_grant_alive(office):
    """The store learns from the kernel when the last packet came."""
    office.judge(office.claim(client=1))
    for _ in range(4):
        office.clock.advance(4)
        assert office.receive(packet=Packet.OTHER)
        assert office.sweep() == []
    (holding,) = office.store.live()
    (installed,) = office.dataplane.installed()
    assert holding.grant.last_ns == installed.last_ns == office.clock.monotonic_ns() - 5 * S


def test_steady_use_between_two_sweeps_keeps_a_grant(office):
    """Each packet came in time for the one before it, however late for what the last sweep saw."""
    office.judge(office.claim(client=1))
    for _ in range(2):
        office.clock.advance(8)
        assert office.receive(packet=Packet.OTHER)
    assert office.sweep() == []
    assert office.receive(packet=Packet.OTHER)


def test_max_sec_ends_a_busy_grant():
    """However many packets come."""
    office = Office(evolve(SETTINGS, clients=(evolve(ALICE, max_s=20), BOB)))
    office.judge(office.claim())
    for _ in range(3):
        assert office.receive()
        assert office.sweep() == []
    assert office.sweep() == [Ended("alice", HERE, (SSH, WEB))]
    assert not office.receive()


def test_two_clients_behind_one_address(office):
    """The kernel has the union; when the shorter one ends, the longer one goes on."""
    office.judge(office.claim(client=1), office.claim(client=0))
    office.clock.advance(11)
    assert office.receive(packet=Packet.OTHER)
    assert office.sweep() == [Ended("bob", HERE, (SSH,))]
    assert {client for client, _, _ in office.held()} == {"alice"}
    office.clock.advance(50)
    assert office.receive(packet=Packet.OTHER)


def test_a_short_knock_does_not_cut_a_long_grant(office):
    """Bob's windows of ten seconds leave Alice's minute alone."""
    office.judge(office.claim(client=0))
    office.clock.advance(20)
    office.judge(office.claim(client=1))
    office.clock.advance(35)
    assert office.receive(packet=Packet.OTHER)


def test_the_wish_narrows(office):
    """A knock for five seconds is over after five seconds, grace included."""
    office.judge(office.claim(idle_s=5))
    office.clock.advance(5.001)
    assert not office.receive()


def test_what_somebody_took_out_of_the_kernel_comes_back(office):
    """And what somebody put in goes: the monitor's picture holds."""
    office.judge(office.claim(client=1))
    (grant,) = office.dataplane.installed()
    office.dataplane.revoke([(HERE, SSH)])
    office.dataplane.allow([evolve(grant, source=THERE)])
    office.sweep()
    assert list(office.dataplane.installed()) == [grant]


def test_a_store_that_fails_in_a_sweep_is_made_up_for(office):
    """The kernel is swept all the same; the next sweep tells the store, and the log."""
    office.judge(office.claim(client=1))
    office.clock.advance(20)
    office.store.fails = True
    with pytest.raises(StoreError):
        office.sweep()
    assert list(office.dataplane.installed()) == []
    assert office.held() == {("bob", HERE, SSH)}
    office.store.fails = False
    assert office.sweep() == [Ended("bob", HERE, (SSH,))]
    assert office.held() == set()


def test_what_was_granted_anew_survives_that(office):
    """A knock after the failing sweep is not undone by the next one."""
    office.judge(office.claim(client=1))
    office.clock.advance(20)
    office.store.fails = True
    with pytest.raises(StoreError):
        office.sweep()
    office.store.fails = False
    office.judge(office.claim(client=1))
    office.sweep()
    assert office.held() == {("bob", HERE, SSH)}
    assert office.receive()
