# SPDX-License-Identifier: MIT
"""What else the configuration says: always-allow, observing only, rate limits, several interfaces."""

from __future__ import annotations

from ipaddress import ip_interface

from house import ALL, LOG_S, SHUT_S

from spale_core.demo.poll import until
from spale_core.demo.probe import Attempt, Outcome, try_doors

FRIENDS = "198.18.15.0/24,2001:db8:0:0:15::/80"


def test_always_allowed_sources_need_no_knock(house):
    """Addresses in ALWAYS_ALLOW get in without a knock; their neighbours do not."""
    house.guard(ALWAYS_ALLOW=FRIENDS)
    friends = [house.guest_at("198.18.15.9"), house.guest_at("2001:db8::15:0:0:9")]
    assert house.all_open(friends)
    assert house.all_shut([house.guest_at("198.18.14.9"), house.guest_at("2001:db8::14:0:0:9")])


def test_everybody_of_one_family(house):
    """ALWAYS_ALLOW=::/0 means all of IPv6, and nobody of IPv4."""
    house.guard(ALWAYS_ALLOW="::/0")
    assert house.all_open([house.guest(6)])
    assert house.all_shut([house.guest(4)])


def test_observing_only(house):
    """With LOG_ONLY everybody gets in, and the log names what would have been dropped."""
    house.guard(LOG_ONLY=1)
    guest = house.guest(4)
    assert house.all_open([guest])
    event = house.daemon.wait_for("refused", timeout_s=LOG_S, reason="no_grant")
    assert event["last_source"] == str(guest)


def test_observing_only_still_judges_knocks(house):
    """With LOG_ONLY junk at the SPA port is still refused by name, and a knock is still granted."""
    house.guard(LOG_ONLY=1)
    guest = house.guest(4)
    house.send(guest, house.keyring.junk())
    house.daemon.wait_for("refused", timeout_s=LOG_S, reason="unknown_tag")
    house.let_in("anna", guest)


def test_the_rate_of_one_source(house, family):
    """Of knocks that come at once the burst passes and the rest is dropped in the kernel; others go on."""
    house.guard(SPA_RL_RATE=1, SPA_RL_BURST=2)
    guest, other = house.guest(family), house.guest_at(_elsewhere(family))
    knocks = [house.datagram("anna", guest) for _ in range(6)]
    with house.refuses("rate_limited", 4, guest):
        house.send(guest, *knocks)
    house.let_in("anna", other)


def test_junk_spends_nothing(house, family):
    """However much junk comes with a client's address on it, the client's own knock passes."""
    house.guard(SPA_RL_RATE=1, SPA_RL_BURST=1)
    guest = house.guest(family)
    true = house.datagram("anna", guest)
    wrong_mac = true[:8] + bytes(8) + true[16:]
    with house.refuses("unknown_tag", 50, guest):
        house.send(guest, *(house.keyring.junk() for _ in range(50)))
    with house.refuses("bad_mac", 50, guest):
        house.send(guest, *[wrong_mac] * 50)
    house.send(guest, true)
    house.daemon.wait_for("granted", timeout_s=LOG_S, source=str(guest))


def test_a_client_holds_so_many_addresses_at_once(house):
    """One address more than CLIENT_MAX_SOURCES takes the place of the client's own oldest, nobody else's."""
    house.guard(CLIENT_MAX_SOURCES=2)
    first, second, third, other = (house.guest(4) for _ in range(4))
    house.let_in("usher", other, "--services", "22/tcp")
    for guest in (first, second, third):
        house.let_in("anna", guest)
    assert house.all_shut([first])
    assert house.all_open([second, third])
    assert house.all_open([other], ALL[:1])


def test_two_interfaces_have_one_policy(house):
    """With two interfaces protected a knock at one opens both to its source, and strangers neither."""
    house.stage.server.cable("door1", house.stage.client, "knock1")
    house.stage.server.add_address("door1", ip_interface("203.0.113.1/24"))
    guest, stranger = (ip_interface(f"203.0.113.{number}/24") for number in (2, 3))
    for each in (guest, stranger):
        house.stage.client.add_address("knock1", each)
    target = ip_interface("203.0.113.1/24").ip
    house.guard(IFACE="door0,door1")
    house.send(guest.ip, house.datagram("anna", guest.ip), target=target)
    house.daemon.wait_for("granted", timeout_s=LOG_S, source=str(guest.ip))
    for each, patience_s, outcome in ((guest, LOG_S, Outcome.OPEN), (stranger, SHUT_S, Outcome.SHUT)):
        attempts = [Attempt(each.ip, target, service) for service in ALL]
        assert {seen.outcome for seen in try_doors(house.stage.client, attempts, patience_s)} == {outcome}
    assert house.all_shut(house.guests())


def test_a_knock_at_an_interface_that_is_not_protected(house):
    """A datagram that arrives on another interface is refused; what that interface lets in stays so."""
    house.stage.server.cable("side0", house.stage.client, "knock1")
    house.stage.server.add_address("side0", ip_interface("203.0.113.1/24"))
    guest = ip_interface("203.0.113.2/24")
    house.stage.client.add_address("knock1", guest)
    target = ip_interface("203.0.113.1/24").ip
    house.guard()
    house.send(guest.ip, house.datagram("anna", guest.ip), target=target)
    assert until(lambda: house.refusals("unprotected_interface")[1] == 1, LOG_S)
    assert not house.daemon.events("granted")
    attempts = [Attempt(guest.ip, target, service) for service in ALL]
    assert {seen.outcome for seen in try_doors(house.stage.client, attempts, LOG_S)} == {Outcome.OPEN}


def _elsewhere(family):
    """Return an address whose bucket no other guest shares: for IPv6 that takes another /64."""
    return "198.18.16.1" if family == 4 else "2001:db8:0:1::1"
