# SPDX-License-Identifier: MIT
"""What is granted by hand is held beside what clients hold, and ends when it is taken back."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from attrs import evolve
from office import HERE, SETTINGS, SSH, THERE, WEB, Office

from spale_core.clock import read
from spale_core.errors import DataError, DataplaneError, StoreError
from spale_core.holdings import BY_HAND
from spale_core.manual import MAX_SERVICES, Wish
from spale_core.model import NEVER_NS, Protocol, Service, Source
from spale_core.reconcile import Reconciler
from spale_core.testing import Packet

S = 10**9


@pytest.fixture
def office():
    """Return an office whose dataplane tracks sessions."""
    return Office(max_sessions=64, session_s=86400)


def authorize(office, source=HERE, **wish):
    """Let somebody in."""
    return office.reconciler.manual.authorize(Wish(source, **wish), read(office.clock))


def withdraw(office, source=HERE, services=None):
    """Take it back."""
    ended = office.reconciler.manual.withdraw(source, services, read(office.clock))
    return ended.services, ended.sessions


def restored(office, settings=SETTINGS):
    """Let the next daemon begin on the same store; return who holds what then."""
    office.reconciler = Reconciler(settings, office.store, office.dataplane, read(office.clock))
    return office.reconciler.restore(read(office.clock))


def test_all_services_with_the_windows_of_everybody(office):
    """Unless others are named; the store has it, and the kernel."""
    grants = authorize(office)
    assert [grant.service for grant in grants] == [SSH, WEB]
    now_ns = office.clock.monotonic_ns()
    assert (grants[0].last_ns, grants[0].idle_ns, grants[0].grace_ns) == (now_ns, 60 * S, 300 * S)
    assert grants[0].end_ns == now_ns + 43200 * S
    assert office.held() == {(BY_HAND, HERE, SSH), (BY_HAND, HERE, WEB)}
    assert office.receive()
    assert not office.receive(THERE)


def test_windows_of_its_own(office):
    """Also longer ones than anybody has; doing it again replaces it."""
    (grant,) = authorize(office, services=frozenset({SSH}), idle_s=-1, grace_s=0)
    assert (grant.idle_ns, grant.grace_ns) == (NEVER_NS, 0)
    authorize(office, services=frozenset({SSH}), idle_s=1, grace_s=0)
    office.clock.advance(1.1)
    assert not office.receive()
    assert not office.receive(service=WEB)


@pytest.mark.parametrize("address", ["127.0.0.1", "::", "224.0.0.1", "255.255.255.255", "::1", "ff02::1"])
def test_an_address_that_nobody_has(office, address):
    """Is refused as in a knock."""
    with pytest.raises(DataError, match="no address that a packet can come from"):
        authorize(office, Source(ip_address(address)))
    assert office.held() == set()


def test_what_is_not_protected(office):
    """Cannot be opened, and what is wrong is named."""
    for act in (authorize, withdraw):
        with pytest.raises(DataError, match=r"25/tcp is not protected"):
            act(office, services=frozenset({SSH, Service(Protocol.TCP, 25)}))
    many = frozenset(Service(Protocol.UDP, port) for port in range(1, 9))
    with pytest.raises(DataError, match=r"1/udp, 2/udp, 3/udp, 4/udp, 5/udp, ... are not protected"):
        authorize(office, services=many)


def test_too_many_services_at_once():
    """All at once or none: the bound of a client holds here, too."""
    services = frozenset(Service(Protocol.TCP, port) for port in range(1, MAX_SERVICES + 2))
    office = Office(evolve(SETTINGS, services=services), max_grants=1000)
    with pytest.raises(DataError, match="name fewer ports"):
        authorize(office)
    assert len(authorize(office, services=frozenset(sorted(services)[1:]))) == MAX_SERVICES


def test_a_full_kernel_takes_all_or_nothing():
    """And says so; nothing is left in the store."""
    office = Office(max_grants=1)
    with pytest.raises(DataplaneError):
        authorize(office)
    assert office.held() == set()
    assert list(office.dataplane.installed()) == []


def test_a_store_that_fails(office):
    """Nothing is granted that it does not know of."""
    office.store.fails = True
    with pytest.raises(StoreError):
        authorize(office)
    office.store.fails = False
    assert not office.receive()
    assert list(office.reconciler.holdings) == []


def test_it_ends_without_what_a_client_knocked_for(office):
    """Neither ends the other."""
    office.judge(office.claim())
    authorize(office)
    assert withdraw(office, services=frozenset({WEB})) == ((WEB,), 0)
    assert withdraw(office) == ((SSH,), 0)
    assert withdraw(office) == ((), 0)
    assert office.held() == {("alice", HERE, SSH), ("alice", HERE, WEB)}
    assert office.receive()
    authorize(office)
    office.reconciler.revoke("alice", read(office.clock))
    assert office.receive()
    assert office.held() == {(BY_HAND, HERE, SSH), (BY_HAND, HERE, WEB)}


def test_its_sessions_end_with_it(office):
    """Those that are nobody else's, also when the grant has run out; other addresses keep theirs."""
    authorize(office)
    authorize(office, THERE)
    for source in (HERE, THERE):
        assert office.receive(source)
    office.clock.advance(1)
    office.judge(office.claim())
    office.dataplane.receive(HERE, SSH, Packet.NEW, source_port=2)
    assert withdraw(office) == ((SSH, WEB), 1)
    left = {(each.source, each.source_port) for each in office.dataplane.sessions()}
    assert left == {(HERE, 2), (THERE, 40000)}
    office.clock.advance(400)
    office.sweep()
    assert withdraw(office, THERE) == ((), 1)
    assert withdraw(office, THERE) == ((), 0)


def test_no_client_is_missed(office):
    """It is nobody whom the configuration lacks, and it counts no addresses."""
    for number in range(1, 4):
        authorize(office, Source(ip_address(f"192.0.2.{number}")), services=frozenset({SSH}))
    assert office.reconciler.expel(read(office.clock)) == []
    assert len(office.held()) == 3
    assert len(restored(office).kept) == 3


def test_a_restart_knows_it(office):
    """With what is left of it, cut by nothing, unless its service is protected no more."""
    authorize(office, idle_s=500, grace_s=900)
    office.clock.advance(400)
    kept = restored(office).kept
    assert {(each.client, each.grant.idle_ns) for each in kept} == {(BY_HAND, 500 * S)}
    assert office.receive()
    less = restored(office, evolve(SETTINGS, services=frozenset({WEB})))
    assert [each.grant.service for each in less.kept] == [WEB]
    office.clock.advance(1000)
    assert restored(office).kept == []


def test_it_runs_out(office):
    """As a client's does, and it is told that it was nobody's."""
    authorize(office, services=frozenset({SSH}), idle_s=1, grace_s=0)
    (ended,) = office.sweep()
    assert (ended.client, ended.source, ended.services) == (BY_HAND, HERE, (SSH,))
    assert office.held() == set()
