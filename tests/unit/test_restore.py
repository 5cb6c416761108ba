# SPDX-License-Identifier: MIT
"""After a restart everybody has what is left of his grants, and nobody has more."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from attrs import evolve
from office import ALICE, BOB, HERE, SETTINGS, SSH, THERE, WEB, Office

from spale_core.clock import read
from spale_core.model import NEVER_NS, Grant, Holding, Reason, Source
from spale_core.reconcile import Reconciler
from spale_core.testing import FakeClock, FakeDataplane, Packet

S = 1_000_000_000


@pytest.fixture
def office():
    """Return an office."""
    return Office()


def restart(office, settings=SETTINGS):
    """Put a new kernel and a new monitor in the old one's place; return how many grants go on and end."""
    office.dataplane = FakeDataplane(office.dataplane._settings, office.clock)
    office.dataplane.set_services(settings.services)
    office.reconciler = Reconciler(settings, office.store, office.dataplane, read(office.clock))
    restored = office.reconciler.restore(read(office.clock))
    return len(restored.kept), len(restored.ended)


def test_grants_come_back_with_what_is_left(office):
    """Neither a second more nor less, and the store is left as it is."""
    office.judge(office.claim())
    before = set(office.store.live())
    office.clock.advance(40)
    assert restart(office) == (2, 0)
    assert set(office.store.live()) == before
    office.clock.advance(20)
    assert office.receive(packet=Packet.OTHER)
    office.clock.advance(60.001)
    assert not office.receive(packet=Packet.OTHER)


def test_the_dead_do_not(office):
    """They leave the store too."""
    office.judge(office.claim(client=1), office.claim(THERE))
    office.clock.advance(11)
    assert restart(office) == (2, 1)
    assert office.held() == {("alice", THERE, SSH), ("alice", THERE, WEB)}
    assert not office.receive()


def test_the_sweep_goes_on(office):
    """What was restored is aged, ended and told like everything else."""
    office.judge(office.claim(client=1))
    restart(office)
    office.clock.advance(4)
    assert office.receive()
    assert office.sweep() == []
    office.clock.advance(6)
    assert [ended.client for ended in office.sweep()] == ["bob"]
    assert office.held() == set()


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ({}, {SSH, WEB}),
        ({"services": frozenset({SSH})}, {SSH}),
        ({"sources": (ip_network("198.51.100.0/24"),)}, set()),
        ({"sources": (ip_network("192.0.2.0/24"),)}, {SSH, WEB}),
        ({"expires_unix_ms": 1}, set()),
        ({"name": "alicia"}, set()),
    ],
)
def test_what_is_not_configured_any_more(office, changes, left):
    """A client, a service, an address: what went from the configuration ends."""
    office.judge(office.claim())
    restart(office, evolve(SETTINGS, clients=(evolve(ALICE, **changes), BOB)))
    assert {grant.service for grant in office.dataplane.installed()} == left
    assert {service for _, _, service in office.held()} == left


def test_windows_that_shrank_cut(office):
    """And those that grew do not stretch what was granted under the smaller ones."""
    office.judge(office.claim(), office.claim(THERE, client=1))
    now_ns = office.clock.monotonic_ns()
    smaller = evolve(ALICE, idle_s=20, grace_s=30, max_s=100)
    larger = evolve(BOB, idle_s=-1, grace_s=-1, max_s=-1)
    restart(office, evolve(SETTINGS, clients=(smaller, larger)))
    windows = {g.source: (g.idle_ns // S, g.grace_ns // S, g.end_ns) for g in office.dataplane.installed()}
    assert windows == {HERE: (20, 30, now_ns + 100 * S), THERE: (10, 10, now_ns + 3600 * S)}


def test_endless_grants_stay_endless():
    """-1 everywhere."""
    endless = evolve(ALICE, idle_s=-1, grace_s=-1, max_s=-1)
    settings = evolve(SETTINGS, clients=(endless, BOB))
    office = Office(settings)
    office.judge(office.claim(services=frozenset({SSH})))
    office.clock.advance(10**6)
    assert restart(office, settings) == (1, 0)
    (grant,) = office.dataplane.installed()
    assert (grant.idle_ns, grant.grace_ns, grant.end_ns) == (NEVER_NS,) * 3


def test_too_many_addresses(office):
    """CLIENT_MAX_SOURCES lowered: those used last stay."""
    office.judge(office.claim(THERE))
    office.clock.advance(1)
    office.judge(office.claim(HERE))
    assert restart(office, evolve(SETTINGS, client_max_sources=1)) == (2, 2)
    assert {source for _, source, _ in office.held()} == {HERE}


def test_a_kernel_with_less_room():
    """MAX_GRANTS lowered: those used last come back, each address whole or not at all."""
    settings = evolve(SETTINGS, client_max_sources=16)
    office = Office(settings)
    sources = [Source(ip_address(f"198.51.100.{host}")) for host in range(3)]
    for source in sources:
        office.judge(office.claim(source))
        office.clock.advance(1)
    office.dataplane._settings = evolve(office.dataplane._settings, max_grants=5)
    assert restart(office, settings) == (4, 2)
    assert {source for _, source, _ in office.held()} == set(sources[1:])
    assert {grant.source for grant in office.dataplane.installed()} == set(sources[1:])


def test_used_last_in_the_future(office):
    """Whatever that is, it is dead."""
    office.judge(office.claim())
    (first, second) = office.store.live()
    late = evolve(first.grant, last_ns=office.clock.monotonic_ns() + 1)
    office.store.put(Holding("alice", late))
    assert restart(office) == (1, 1)
    assert [holding.grant.service for holding in office.store.live()] == [second.grant.service]


def test_used_last_before_this_boot(office):
    """The kernel knows no time before its own: it gets what is left, and after a packet all of it."""
    office.clock = FakeClock(monotonic_ns=10 * S)
    before = Grant(HERE, SSH, last_ns=-20 * S, idle_ns=60 * S, grace_ns=0, end_ns=3600 * S)
    office.store.put(Holding("alice", before))
    assert restart(office) == (1, 0)
    (installed,) = office.dataplane.installed()
    assert (installed.last_ns, installed.idle_ns // S) == (0, 40)
    office.clock.advance(25)
    assert office.receive(packet=Packet.OTHER)
    office.sweep()
    (installed,) = office.dataplane.installed()
    assert (installed.last_ns // S, installed.idle_ns // S) == (35, 60)


def test_a_loss_at_an_earlier_start_counts():
    """What may have been used before it is refused, however often the daemon was started since."""
    office = Office()
    lost_ms = office.clock.unix_ms()
    office.store.memory_lost, office.store.lost_unix_ms = False, lost_ms
    office.clock.advance(5)
    restart(office)
    assert office.reconciler.unbound_until_unix_ms == lost_ms + 30_000
    assert office.reason(office.claim(bound=False)) is Reason.MEMORY_LOST
    assert office.reason(office.claim(unix_ms=lost_ms)) is Reason.MEMORY_LOST
    assert office.reason(office.claim()) is None
    office.clock.advance(26)
    assert office.reason(office.claim(bound=False)) is None
    restart(office)
    assert office.reconciler.unbound_until_unix_ms is None


def test_a_memory_that_is_not_lost(office):
    """Whatever is in time is taken, at once."""
    office.store.memory_lost = False
    restart(office)
    assert office.reconciler.unbound_until_unix_ms is None
    assert office.reason(office.claim(bound=False, unix_ms=office.clock.unix_ms() - 29_000)) is None
