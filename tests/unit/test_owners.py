# SPDX-License-Identifier: MIT
"""Whose a session is, and what is left of it when a client has to go."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from attrs import evolve
from office import ALICE, BOB, HERE, SETTINGS, SSH, THERE, WEB, Office

from spale_core.clock import read
from spale_core.config.settings import ClientSettings
from spale_core.expulsion import Cause, Revoked
from spale_core.model import Protocol, Service, Session, Source
from spale_core.reconcile import Reconciler
from spale_core.testing import Packet

WIREGUARD = Service(Protocol.UDP, 51820)
CAROL = ClientSettings("carol", bytes([3] * 32), frozenset({SSH}), idle_s=60, grace_s=300, max_s=3600)
CLIENTS = (ALICE, BOB, CAROL)
EVERYBODY = evolve(SETTINGS, clients=CLIENTS, client_max_sources=16)
NAMES = {client.name: number for number, client in enumerate(CLIENTS)}
ROOMY = {"max_sessions": 64, "session_s": 3600, "max_grants": 64}


class Reception(Office):
    """An office to which people connect."""

    def __init__(self, settings=EVERYBODY):
        """Have room for sessions."""
        super().__init__(settings, **ROOMY)

    def knock(self, name, source=HERE):
        """Let a client in."""
        assert self.reason(self.claim(source, NAMES[name])) is None

    def connect(self, port, source=HERE, service=SSH):
        """Send a SYN; tell whether it passed."""
        self.clock.advance(0.001)
        return self.dataplane.receive(source, service, Packet.NEW, source_port=port)

    def ports(self):
        """Return the source ports of all sessions."""
        return {session.source_port for session in self.dataplane.sessions()}

    def revoke(self, name):
        """Revoke a client; return what it lost."""
        self.clock.advance(0.001)
        return self.reconciler.revoke(name, read(self.clock))

    def expel(self):
        """End what may not go on; return what was lost."""
        return self.reconciler.expel(read(self.clock))

    def forget(self):
        """Do what the sessions' sweep does for owners."""
        self.reconciler.forget_owners(list(self.dataplane.sessions()), self.clock.monotonic_ns())

    def restart(self, settings=EVERYBODY):
        """Let another reconciler go on with the same store, and the same sessions in the kernel."""
        self.dataplane.revoke([(grant.source, grant.service) for grant in self.dataplane.installed()])
        self.reconciler = Reconciler(settings, self.store, self.dataplane, read(self.clock))
        self.reconciler.restore(read(self.clock))

    def tenures(self):
        """Return whose tenures the store has."""
        return {tenure.client for tenure in self.store.tenures()}


@pytest.fixture
def reception():
    """Return a reception."""
    return Reception()


def lost(client, services=(SSH,), sessions=0, cause=Cause.REVOKED, source=HERE):
    """Return what is said of a client that lost this."""
    return Revoked(client, cause, source, tuple(services), sessions)


def test_revoking_ends_grants_and_sessions(reception):
    """At once; others' at other addresses stay."""
    reception.knock("bob")
    reception.knock("bob", THERE)
    reception.knock("carol", Source(ip_address("192.0.2.9")))
    assert reception.connect(1)
    assert reception.connect(2, Source(ip_address("192.0.2.9")))
    assert set(reception.revoke("bob")) == {lost("bob", sessions=1), lost("bob", source=THERE)}
    assert reception.ports() == {2}
    assert not reception.connect(3)
    assert not reception.connect(4, THERE)
    assert reception.connect(5, Source(ip_address("192.0.2.9")))
    assert {client for client, _, _ in reception.held()} == {"carol"}
    assert reception.tenures() == {"carol"}


def test_revoking_leaves_others_behind_the_same_address(reception):
    """The entry is recomputed: bob's grant stays usable, and the session that both own too."""
    reception.knock("alice")
    reception.knock("bob")
    assert reception.connect(1)
    assert reception.connect(2, service=WEB)
    assert reception.revoke("alice") == [lost("alice", (SSH, WEB), 1)]
    assert reception.ports() == {1}
    assert reception.connect(3)
    assert not reception.connect(4, service=WEB)
    (grant,) = reception.dataplane.installed()
    assert (grant.idle_ns, grant.grace_ns) == (BOB.idle_s * 10**9, BOB.grace_s * 10**9)
    assert reception.revoke("bob") == [lost("bob", sessions=2)]
    assert reception.ports() == set()


def test_an_owner_stays_one_after_its_grant(reception):
    """What ran out by silence is no revocation: the session is still both clients'."""
    reception.knock("alice")
    reception.knock("bob")
    assert reception.connect(1)
    reception.clock.advance(11)
    reception.sweep()
    assert {client for client, _, _ in reception.held()} == {"alice"}
    reception.revoke("alice")
    assert reception.ports() == {1}
    assert reception.revoke("bob") == [lost("bob", (), 1)]
    assert reception.ports() == set()


def test_who_came_later_owns_nothing_from_before(reception):
    """Nor who was gone already when the SYN passed."""
    reception.knock("bob")
    reception.clock.advance(11)
    reception.sweep()
    reception.knock("carol")
    assert reception.connect(1)
    reception.knock("alice")
    for name, left in (("bob", {1}), ("alice", {1}), ("carol", set())):
        reception.revoke(name)
        assert reception.ports() == left


def test_a_new_syn_has_new_owners(reception):
    """A connection that was restarted belongs to whoever holds the pair then."""
    reception.knock("bob")
    assert reception.connect(1)
    reception.knock("carol")
    assert reception.connect(1)
    reception.revoke("bob")
    assert reception.ports() == {1}
    reception.revoke("carol")
    assert reception.ports() == set()


def test_adopted_sessions_have_no_owner(reception):
    """They end with nobody."""
    reception.knock("bob")
    reception.dataplane.put_sessions([Session(HERE, SSH, ip_address("192.0.2.1"), 9, 0, 1)])
    reception.revoke("bob")
    assert reception.ports() == {9}


def test_a_revoked_client_may_knock_again(reception):
    """And what it opens then is its own again."""
    reception.knock("bob")
    reception.revoke("bob")
    assert reception.revoke("bob") == []
    reception.clock.advance(1)
    reception.knock("bob")
    assert reception.connect(1)
    assert reception.revoke("bob") == [lost("bob", sessions=1)]


def test_time_ends_a_client(reception):
    """NAME_EXPIRES: not a moment before, and again after the clock was set back and forth."""
    expires_ms = reception.clock.unix_ms() + 20_000
    reception = Reception(evolve(EVERYBODY, clients=(ALICE, evolve(BOB, expires_unix_ms=expires_ms), CAROL)))
    reception.clock.step((expires_ms - reception.clock.unix_ms()) / 1000 - 5)
    reception.knock("bob")
    assert reception.connect(1)
    assert reception.reconciler.next_expiry_unix_ms(read(reception.clock)) == expires_ms + 1
    assert reception.expel() == []
    reception.clock.step((expires_ms - reception.clock.unix_ms()) / 1000)
    assert reception.expel() == []
    reception.clock.step(0.001)
    assert reception.expel() == [lost("bob", sessions=1, cause=Cause.EXPIRED)]
    assert reception.reconciler.next_expiry_unix_ms(read(reception.clock)) is None
    assert reception.expel() == []
    assert reception.ports() == set()
    assert not reception.connect(2)
    reception.clock.step(-3)
    reception.knock("bob")
    assert reception.connect(3)
    reception.clock.step(3600)
    assert reception.expel() == [lost("bob", sessions=1, cause=Cause.EXPIRED)]


@pytest.mark.parametrize("gone", ["removed", "expired"])
def test_what_ends_at_the_next_start(reception, gone):
    """A client that was removed, or whose time ran out, while no daemon ran."""
    reception.knock("bob")
    reception.knock("carol", THERE)
    assert reception.connect(1)
    assert reception.connect(2, THERE)
    late = {"removed": (), "expired": (evolve(BOB, expires_unix_ms=1),)}[gone]
    reception.restart(evolve(EVERYBODY, clients=(ALICE, *late, CAROL)))
    assert not reception.connect(3)
    assert reception.connect(4, THERE)
    assert reception.expel() == [lost("bob", (), 1, cause=Cause(gone))]
    assert reception.ports() == {2, 4}
    assert {client for client, _, _ in reception.held()} == {"carol"}
    assert reception.tenures() == {"carol"}


def test_owners_survive_a_restart(reception):
    """Those whose grant has ended, and those that still hold one; also after SIGKILL."""
    reception.knock("bob")
    assert reception.connect(1)
    reception.clock.advance(11)
    reception.knock("carol")
    assert reception.connect(2)
    for _ in range(2):
        reception.restart()
    reception.revoke("carol")
    assert reception.ports() == {1}
    reception.revoke("bob")
    assert reception.ports() == set()


def test_a_tenure_of_a_removed_service_ends(reception):
    """A client that may have less by now loses the grant, not the session."""
    reception.knock("alice")
    assert reception.connect(1, service=WEB)
    less = evolve(ALICE, services=frozenset({SSH}))
    reception.restart(evolve(EVERYBODY, clients=(less, BOB, CAROL)))
    assert reception.expel() == []
    assert reception.ports() == {1}
    assert not reception.connect(2, service=WEB)
    assert reception.revoke("alice") == [lost("alice", sessions=1)]
    assert reception.ports() == set()


def test_rows_are_forgotten(reception):
    """When no session of theirs is left; a tenure that lasts is kept."""
    reception.knock("bob")
    assert reception.connect(1)
    reception.clock.advance(11)
    reception.sweep()
    reception.knock("carol")
    reception.forget()
    assert reception.tenures() == {"bob", "carol"}
    reception.dataplane.end_sessions(list(reception.dataplane.sessions()))
    reception.forget()
    assert reception.tenures() == {"carol"}


def test_without_sessions_nobody_owns_any():
    """SESSION_SEC=0, and services over UDP: no rows."""
    office = Office(evolve(EVERYBODY, session_s=0), **ROOMY)
    office.judge(office.claim())
    assert list(office.store.tenures()) == []
    udp = evolve(ALICE, services=frozenset({WIREGUARD}))
    office = Office(evolve(EVERYBODY, services=frozenset({WIREGUARD}), clients=(udp,)), **ROOMY)
    office.judge(office.claim())
    assert list(office.store.tenures()) == []
    assert len(office.held()) == 1


def test_a_refused_knock_leaves_no_owner(reception):
    """Neither a store that fails nor a kernel that is full: nothing is held, nothing was."""
    reception.store.fails = True
    reception.judge(reception.claim())
    reception.store.fails = False
    assert reception.tenures() == set()
    assert reception.revoke("alice") == []
    small = Office(evolve(EVERYBODY), max_sessions=8, session_s=60, max_grants=1)
    small.judge(small.claim())
    assert (small.held(), list(small.store.tenures())) == (set(), [])


def test_an_address_that_is_replaced_ends_its_tenure():
    """CLIENT_MAX_SOURCES: the session goes on, and is still the client's."""
    reception = Reception(evolve(EVERYBODY, client_max_sources=1))
    reception.knock("bob")
    assert reception.connect(1)
    reception.clock.advance(1)
    reception.knock("bob", THERE)
    assert not reception.connect(2)
    assert reception.ports() == {1}
    assert set(reception.revoke("bob")) == {lost("bob", source=THERE), lost("bob", (), 1)}
    assert reception.ports() == set()
