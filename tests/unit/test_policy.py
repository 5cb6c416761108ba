# SPDX-License-Identifier: MIT
"""What a claim is worth, and what several clients' grants are together."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from attrs import evolve

from spale_core import policy
from spale_core.config.settings import ClientSettings
from spale_core.model import NEVER_NS, Claim, Grant, Protocol, Service, Source

S = 1_000_000_000
SSH, WEB = Service(Protocol.TCP, 22), Service(Protocol.TCP, 443)
SOURCE = Source(ip_address("192.0.2.7"))
ALICE = ClientSettings("alice", bytes(32), frozenset({SSH, WEB}), idle_s=60, grace_s=300, max_s=3600)


def claim(*services, idle_s=0):
    """Return a claim of the first client."""
    return Claim(0, bytes(32), 1, SOURCE, bound=True, services=frozenset(services), idle_s=idle_s)


def grant(last_s, idle_s, grace_s, end_s=10_000):
    """Return a grant, times and windows in seconds."""
    return Grant(SOURCE, SSH, last_s * S, idle_s * S, grace_s * S, end_s * S)


def test_no_service_named_means_all():
    """One grant for each service, windows and end from the configuration."""
    grants = policy.grants(claim(), ALICE, 5 * S)
    assert [g.service for g in grants] == [SSH, WEB]
    assert set(grants) == {Grant(SOURCE, service, 5 * S, 60 * S, 300 * S, 3605 * S) for service in (SSH, WEB)}


def test_only_what_is_named():
    """A claim for one service opens that one."""
    assert [g.service for g in policy.grants(claim(WEB), ALICE, 0)] == [WEB]


def test_never_ends():
    """-1 in the configuration is NEVER_NS in the kernel."""
    endless = evolve(ALICE, idle_s=-1, grace_s=-1, max_s=-1)
    (first, _) = policy.grants(claim(), endless, 5 * S)
    assert (first.idle_ns, first.grace_ns, first.end_ns) == (NEVER_NS,) * 3


@pytest.mark.parametrize(
    ("idle_s", "grace_s", "wish_s", "wanted"),
    [
        (60, 300, 0, (60, 300)),
        (60, 300, 10, (10, 10)),
        (60, 300, 100, (60, 100)),
        (60, 300, 600, (60, 300)),
        (60, 0, 10, (10, 0)),
        (-1, -1, 0, (-1, -1)),
        (-1, -1, 10, (10, 10)),
        (-1, 300, 10, (10, 10)),
        (60, -1, 100, (60, 100)),
    ],
)
def test_a_wish_only_narrows(idle_s, grace_s, wish_s, wanted):
    """The smaller one holds: idle = min(wish, server), grace = min(server, wish)."""
    assert policy.windows_s(idle_s, grace_s, wish_s) == wanted


def test_the_union_of_one_is_itself():
    """Nothing changes for the usual case."""
    assert policy.union([grant(10, 60, 300)]) == grant(10, 60, 300)


def test_the_union_lasts_as_long_as_the_longest():
    """A short grant that was just made does not stretch a long one that began earlier."""
    union = policy.union([grant(100, 60, 60), grant(50, 3600, 0)])
    assert union == grant(100, 3550, 60)


def test_the_union_ends_with_the_last_one():
    """A long window whose MAX_SEC comes soon does not survive it in another client's grant."""
    union = policy.union([grant(100, 60, 60), grant(50, 3600, 0, end_s=110)])
    assert union == grant(100, 60, 60)


@pytest.mark.parametrize(
    ("at_s", "wanted"),
    [(100, False), (101, True), (160, True), (161, True), (400, True), (401, False)],
)
def test_packets_touch_what_was_not_dead(at_s, wanted):
    """A packet extends a share that was LIVE or in GRACE when it came."""
    assert policy.touched(grant(100, 60, 300), at_s * S) is wanted


def test_packets_do_not_touch_what_has_ended():
    """MAX_SEC holds however busy a grant is."""
    assert not policy.touched(grant(100, 60, 300, end_s=120), 120 * S)
