# SPDX-License-Identifier: MIT
"""The monitor's decisions: claims in, grants out, store and kernel in agreement."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from attrs import evolve
from office import ALICE, BOB, HERE, SETTINGS, SSH, THERE, WEB, Office

from spale_core.clock import read
from spale_core.expulsion import Cause
from spale_core.ipc import IpcError
from spale_core.model import Granted, Protocol, Reason, Service, Source
from spale_core.reconcile import Reconciler


@pytest.fixture
def office():
    """Return an office."""
    return Office()


def test_a_good_claim_opens_its_services_to_its_source(office):
    """And to nobody else; store and kernel both have it."""
    assert not office.receive()
    assert office.reason(office.claim()) is None
    assert office.receive(HERE, SSH)
    assert office.receive(HERE, WEB)
    assert not office.receive(THERE, SSH)
    assert office.held() == {("alice", HERE, SSH), ("alice", HERE, WEB)}


def test_only_the_services_that_are_named(office):
    """A claim may ask for less than the client may have."""
    assert office.reason(office.claim(services=frozenset({WEB}))) is None
    assert not office.receive(HERE, SSH)
    assert office.receive(HERE, WEB)


def test_a_replay_opens_nothing(office):
    """Not from elsewhere, not later; and says where it was first seen."""
    claim = office.claim()
    office.judge(claim)
    (refused,) = office.judge(evolve(claim, source=THERE))
    assert (refused.reason, refused.first_source) == (Reason.REPLAY, HERE)
    assert not office.receive(THERE)


def test_two_copies_in_one_wake_up(office):
    """The second one is a replay there too."""
    claim = office.claim()
    first, second = office.judge(claim, evolve(claim, source=THERE))
    assert isinstance(first, Granted)
    assert second.reason is Reason.REPLAY


def test_one_wake_up_is_one_transaction(office):
    """However many claims have come together: that is what a disk costs."""
    office.judge(*(office.claim(client=number % 2) for number in range(12)))
    assert office.store.transactions == 1


def test_what_is_refused_counts_as_used(office):
    """A datagram that was refused for its source cannot be sent again from a better one."""
    tied = Office(evolve(SETTINGS, clients=(evolve(ALICE, sources=()), BOB)))
    ahead = tied.claim(unix_ms=tied.clock.unix_ms() + 60_000)
    assert tied.reason(ahead) is Reason.SKEW
    tied.clock.advance(60)
    assert tied.reason(ahead) is Reason.REPLAY
    bad = office.claim(Source(ip_address("127.0.0.1")))
    assert office.reason(bad) is Reason.BAD_SOURCE
    assert office.reason(evolve(bad, source=HERE)) is Reason.REPLAY


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"unix_ms": 1}, Reason.SKEW),
        ({"source": Source(ip_address("224.0.0.1"))}, Reason.BAD_SOURCE),
        ({"services": frozenset({Service(Protocol.UDP, 53)})}, Reason.SERVICES),
    ],
)
def test_the_monitor_believes_nothing(office, changes, reason):
    """Each rule is checked again on this side."""
    assert office.reason(office.claim(**changes)) is reason
    assert office.held() == set()


def test_what_arrived_where_nothing_is_guarded_is_refused(office):
    """Whatever is guarded at that moment decides; the datagram counts as used."""
    guarded = {}
    office.reconciler = Reconciler(SETTINGS, office.store, office.dataplane, read(office.clock), guarded)
    office.clock.advance(60)
    arrived = office.claim(ifindex=7)
    assert office.reason(arrived) is Reason.INTERFACE
    guarded[7] = "eth0"
    assert office.reason(arrived) is Reason.REPLAY
    assert office.reason(office.claim(ifindex=7)) is None


def test_grants_on_a_link_end_with_its_interface(office):
    """Those of addresses that are good on any interface stay, and so does what others hold on theirs."""
    near, far = (Source(ip_address("fe80::7"), number) for number in (7, 8))
    office.judge(office.claim(near), office.claim(far), office.claim(HERE, client=1))
    (ended,) = office.reconciler.end_elsewhere({8: "eth1"}, read(office.clock))
    assert (ended.client, ended.source, ended.services) == ("alice", near, (SSH, WEB))
    assert ended.cause is Cause.INTERFACE
    assert {source for _, source, _ in office.held()} == {far, HERE}
    assert {grant.source for grant in office.dataplane.installed()} == {far, HERE}
    assert office.reconciler.end_elsewhere({8: "eth1"}, read(office.clock)) == []


def test_lost_memory_refuses_what_may_have_been_used():
    """With the memory store, unbound datagrams up to start + skew, bound ones up to the start."""
    office = Office()
    start = read(office.clock)
    office.reconciler = Reconciler(SETTINGS, office.store, office.dataplane, start)
    assert office.reconciler.unbound_until_unix_ms == start.unix_ms + 30_000
    assert office.reason(office.claim(bound=True)) is Reason.MEMORY_LOST
    office.clock.advance(1)
    assert office.reason(office.claim(bound=True)) is None
    assert office.reason(office.claim(bound=False)) is Reason.MEMORY_LOST
    office.clock.advance(30)
    assert office.reason(office.claim(bound=False)) is None


def test_an_unknown_client_ends_the_listener(office):
    """No listener of ours can know one."""
    with pytest.raises(IpcError):
        office.judge(office.claim(client=2))


def test_an_expired_client_gets_nothing():
    """NAME_EXPIRES."""
    office = Office(evolve(SETTINGS, clients=(evolve(ALICE, expires_unix_ms=1), BOB)))
    assert office.reason(office.claim()) is Reason.CLIENT_EXPIRED


def test_ten_claims_per_second(office):
    """Of one client; what a listener that was taken over can do is bounded."""
    reasons = [office.reason(office.claim()) for _ in range(12)]
    assert reasons == [None] * 10 + [Reason.CLAIM_RATE] * 2
    assert office.reason(office.claim(client=1)) is None


def test_one_address_too_many_replaces_the_oldest(office):
    """The client's own, the one whose last use is longest ago."""
    sources = [Source(ip_address(f"198.51.100.{host}")) for host in (1, 2, 3)]
    for source in sources[:2]:
        office.judge(office.claim(source))
        office.clock.advance(1)
    office.receive(sources[0])
    office.sweep()
    office.judge(office.claim(sources[2]))
    assert [office.receive(source) for source in sources] == [True, False, True]
    assert {source for _, source, _ in office.held()} == {sources[0], sources[2]}


def test_knocking_again_needs_no_room(office):
    """An address that is held already replaces itself."""
    for _ in range(3):
        office.judge(office.claim(HERE), office.claim(THERE))
        office.clock.advance(1)
    assert office.receive(HERE)
    assert office.receive(THERE)


def test_others_addresses_are_not_replaced(office):
    """A stolen key pushes out its own client only."""
    office.judge(office.claim(HERE, client=1))
    for host in range(1, 5):
        office.judge(office.claim(Source(ip_address(f"198.51.100.{host}"))))
    assert office.receive(HERE, SSH)


def test_a_failing_store_refuses_all(office):
    """What cannot be recorded is not granted, and leaves nothing behind."""
    office.store.fails = True
    assert [answer.reason for answer in office.judge(office.claim(), office.claim(client=1))] == [
        Reason.STORE_FAILED,
        Reason.STORE_FAILED,
    ]
    office.store.fails = False
    assert office.held() == set()
    assert not office.receive()
    assert office.sweep() == []
    assert list(office.dataplane.installed()) == []


def test_a_full_kernel_refuses_what_does_not_fit():
    """Of several claims the first ones fit; the last one is refused whole, and nothing of it stays."""
    office = Office(evolve(SETTINGS, client_max_sources=16))
    sources = [Source(ip_address(f"198.51.100.{host}")) for host in range(4)]
    answers = office.judge(*(office.claim(source) for source in sources))
    assert [isinstance(answer, Granted) for answer in answers] == [True, True, True, False]
    assert answers[3].reason is Reason.GRANTS_FULL
    assert {source for _, source, _ in office.held()} == set(sources[:3])
    assert office.reason(office.claim(sources[0])) is None


def test_a_full_kernel_keeps_what_was_there():
    """The oldest address that was to make room is not lost if the new one does not fit."""
    office = Office(evolve(SETTINGS, client_max_sources=1))
    office.judge(office.claim(HERE, services=frozenset({SSH})))
    others = [office.dataplane.installed()[0]]
    office.dataplane.allow(
        [evolve(others[0], source=Source(ip_address(f"198.51.100.{host}"))) for host in range(5)]
    )
    assert office.reason(office.claim(THERE)) is Reason.GRANTS_FULL
    assert office.receive(HERE, SSH)
    assert office.held() == {("alice", HERE, SSH)}


def test_a_listener_that_starts_anew_is_told_what_was_seen(office):
    """Every identity that is remembered, with its first source."""
    claim = office.claim()
    office.judge(claim)
    office.store.remember(ALICE.public_key, bytes(32), office.clock.unix_ms(), office.clock.unix_ms())
    assert office.reconciler.seen() == {claim.enc: HERE, bytes(32): None}
