# SPDX-License-Identifier: MIT
"""May this claim come in at all: each question by itself."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from attrs import evolve

from spale_core import gate
from spale_core.config.settings import ClientSettings
from spale_core.model import Claim, Moment, Protocol, Reason, Service, Source

NOW = Moment(monotonic_ns=50_000_000_000, unix_ms=1_700_000_000_000)
SSH, WEB, DNS = Service(Protocol.TCP, 22), Service(Protocol.TCP, 443), Service(Protocol.UDP, 53)
ALICE = ClientSettings("alice", bytes(32), frozenset({SSH, WEB}), idle_s=60, grace_s=300, max_s=3600)


def claim(address="192.0.2.7", **changes):
    """Return a good claim with `changes`."""
    good = Claim(0, bytes(32), NOW.unix_ms, Source(ip_address(address)), True, frozenset(), 0)  # noqa: FBT003 - in order
    return evolve(good, **changes)


def reason(refused):
    """Return the reason of a refusal, None for none."""
    return refused and refused.reason


@pytest.mark.parametrize(
    ("ahead_ms", "refused"),
    [(0, False), (30_000, False), (-30_000, False), (30_001, True), (-30_001, True)],
)
def test_time_is_good_within_the_window(ahead_ms, refused):
    """Both directions alike, the border included."""
    answer = gate.check_time(claim(unix_ms=NOW.unix_ms + ahead_ms), NOW, 30)
    assert (reason(answer) is Reason.SKEW) is refused


def test_skew_says_by_how_much():
    """The administrator sees whose clock is off, and by how much."""
    assert gate.check_time(claim(unix_ms=NOW.unix_ms + 31_250), NOW, 30).detail == "31.250 s ahead"
    assert gate.check_time(claim(unix_ms=NOW.unix_ms - 90_000), NOW, 30).detail == "90.000 s behind"


@pytest.mark.parametrize(
    ("after_ms", "bound", "refused"),
    [(0, True, True), (1, True, False), (30_000, False, True), (30_001, False, False)],
)
def test_lost_memory(after_ms, bound, refused):
    """Unbound datagrams up to start + skew, bound ones up to the start."""
    late = claim(unix_ms=NOW.unix_ms + after_ms, bound=bound)
    assert (reason(gate.check_memory(late, NOW.unix_ms, 30)) is Reason.MEMORY_LOST) is refused


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "::1", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "::ffff:127.0.0.1"],  # noqa: S104 - not bound
)
def test_no_host_has_that_address(address):
    """Loopback, unspecified, multicast and broadcast sources are refused, mapped ones for what they are."""
    assert reason(gate.check_source(claim(address), ALICE)) is Reason.BAD_SOURCE


@pytest.mark.parametrize("address", ["192.0.2.7", "10.0.0.1", "2001:db8::7", "fe80::7", "fd00::1"])
def test_hosts_have_such_addresses(address):
    """Global, private, unique-local and link-local sources are good."""
    assert gate.check_source(claim(address), ALICE) is None


def test_interfaces_that_are_guarded():
    """What arrived elsewhere is refused, also if the listener does not say where."""
    arrived = evolve(claim("192.0.2.7"), ifindex=7)
    assert gate.check_interface(arrived, {7: "eth0"}) is None
    assert gate.check_interface(arrived, None) is None
    assert reason(gate.check_interface(arrived, {8: "eth1"})) is Reason.INTERFACE
    assert reason(gate.check_interface(claim("192.0.2.7"), {7: "eth0"})) is Reason.INTERFACE


def test_sources_that_a_client_may_knock_from():
    """NAME_SOURCES is a list of prefixes; a family that is not in it is refused."""
    tied = evolve(ALICE, sources=(ip_network("192.0.2.0/28"), ip_network("198.51.100.0/24")))
    assert gate.check_source(claim("198.51.100.9"), tied) is None
    assert reason(gate.check_source(claim("192.0.2.16"), tied)) is Reason.SOURCE_NOT_ALLOWED
    assert reason(gate.check_source(claim("2001:db8::7"), tied)) is Reason.SOURCE_NOT_ALLOWED


def test_services_are_all_or_none():
    """One service too many refuses the claim, and is named."""
    assert gate.check_services(claim(services=frozenset({SSH})), ALICE) is None
    assert gate.check_services(claim(), ALICE) is None
    refused = gate.check_services(claim(services=frozenset({SSH, DNS})), ALICE)
    assert (refused.reason, refused.detail) == (Reason.SERVICES, "53/udp")


def test_no_services_means_none_not_all():
    """A client without services gets nothing, whatever it asks."""
    poor = evolve(ALICE, services=frozenset())
    assert reason(gate.check_services(claim(), poor)) is Reason.SERVICES


def test_a_client_expires():
    """The last millisecond is good, the next one is not."""
    brief = evolve(ALICE, expires_unix_ms=NOW.unix_ms)
    assert gate.check_expiry(claim(), brief, NOW) is None
    late = evolve(NOW, unix_ms=NOW.unix_ms + 1)
    assert reason(gate.check_expiry(claim(), brief, late)) is Reason.CLIENT_EXPIRED


def test_ten_claims_per_second_and_client():
    """The eleventh is refused; another client is not; the next second is new."""
    rate = gate.ClaimRate()
    answers = [reason(rate.check(claim(), NOW)) for _ in range(11)]
    assert answers == [None] * 10 + [Reason.CLAIM_RATE]
    assert rate.check(claim(client=1), NOW) is None
    assert rate.check(claim(), evolve(NOW, monotonic_ns=NOW.monotonic_ns + 1_000_000_000)) is None
