# SPDX-License-Identifier: MIT
"""Which datagrams a client sends where, without a socket."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from attrs import define, field

from spale_core.errors import PluginError, UsageError
from spale_core.knock import MAX_TARGETS, Binding, BindingMode, Knock, Target, choose_targets
from spale_core.model import Protocol, Service, Source
from spale_core.schemes import find_scheme

PUBLIC4, PRIVATE4 = ip_address("8.8.8.8"), ip_address("192.168.1.5")
PUBLIC6, LOCAL6 = ip_address("2a00::5"), ip_address("fe80::1")


@define
class RecordingRequester:
    """Remembers what it was asked to seal."""

    asked: dict[str, object] = field(factory=dict)

    def seal(self, **wish: object) -> bytes:
        """Record the wish."""
        self.asked = wish
        return b"sealed"


def targets(*addresses: str) -> list[Target]:
    """Return targets as the resolver would."""
    return [Target(ip_address(address), (address, 55555)) for address in addresses]


@pytest.mark.parametrize(
    ("local", "claimed"), [(PUBLIC4, PUBLIC4), (PUBLIC6, PUBLIC6), (PRIVATE4, None), (LOCAL6, None)]
)
@pytest.mark.parametrize("binding", [Binding.parse("auto")])
def test_auto_claims_only_what_the_server_will_see(binding: Binding, local: object, claimed: object) -> None:
    """An address that is not globally routable will be translated on the way."""
    assert binding.claimed(local) == (None if claimed is None else Source(claimed))


def test_carrier_nat_is_not_routable() -> None:
    """100.64.0.0/10 and unique local addresses are behind somebody's translation."""
    for local in ("100.64.1.1", "fd00::1", "127.0.0.1", "::1"):
        assert Binding.parse("auto").claimed(ip_address(local)) is None


def test_off_claims_nothing() -> None:
    """Not even a public address."""
    assert Binding.parse("off").claimed(PUBLIC4) is None


@pytest.mark.parametrize(
    ("text", "source", "bits", "words"),
    [
        ("203.0.113.7", "203.0.113.7", 0, "bound to 203.0.113.7"),
        ("203.0.113.7/32", "203.0.113.7", 0, "bound to 203.0.113.7"),
        ("203.0.113.0/24", "203.0.113.0", 120, "bound to 203.0.113.0/24"),
        ("::ffff:203.0.113.7", "203.0.113.7", 0, "bound to 203.0.113.7"),
        ("2001:db8::/32", "2001:db8::", 32, "bound to 2001:db8::/32"),
        ("2001:db8::1/128", "2001:db8::1", 0, "bound to 2001:db8::1"),
    ],
)
def test_a_fixed_binding(text: str, source: str, bits: int, words: str) -> None:
    """An address or a prefix is claimed wherever the socket sends from."""
    binding = Binding.parse(text)
    assert binding == Binding(BindingMode.FIXED, Source(ip_address(source)), bits)
    assert binding.claimed(PRIVATE4) == Source(ip_address(source))
    assert binding.described(PRIVATE4) == words


@pytest.mark.parametrize(
    "text", ["", "on", "203.0.113.7/24", "203.0.113.0/33", "::ffff:203.0.113.0/120", "a/b", "1.2.3"]
)
def test_a_binding_that_is_none(text: str) -> None:
    """Host bits, bad lengths and words are usage errors."""
    with pytest.raises(UsageError):
        Binding.parse(text)


def test_the_families_take_turns() -> None:
    """Both are knocked at even where one has more addresses than there is room for."""
    found = targets(
        *(f"2001:db8::{number}" for number in range(1, 11)), "192.0.2.1", "192.0.2.2", "192.0.2.1"
    )
    chosen = choose_targets(found, {4, 6})
    assert len(chosen) == MAX_TARGETS
    assert [str(target.address) for target in chosen][:5] == [
        "2001:db8::1",
        "192.0.2.1",
        "2001:db8::2",
        "192.0.2.2",
        "2001:db8::3",
    ]


def test_a_binding_limits_the_families() -> None:
    """What is bound to an IPv4 address never goes to an IPv6 one, where it would be refused."""
    found = targets("2001:db8::1", "192.0.2.1")
    (chosen,) = choose_targets(found, Binding.parse("8.8.8.8").versions)
    assert chosen.address == ip_address("192.0.2.1")
    assert choose_targets(targets("192.0.2.1"), {6}) == ()


@pytest.mark.parametrize("text", ["203.0.113.0/24,2001:db8::7", "2001:db8::7,203.0.113.0/24"])
def test_a_binding_for_each_family(text: str) -> None:
    """Each datagram claims what is of the family that it is sent by, with that one's bits."""
    requester, binding = RecordingRequester(), Binding.parse(text)
    assert (str(binding), binding.versions) == (text, {4, 6})
    knock = Knock(requester, binding)
    for local, source, bits, words in (
        (PRIVATE4, "203.0.113.0", 120, "bound to 203.0.113.0/24"),
        (LOCAL6, "2001:db8::7", 0, "bound to 2001:db8::7"),
    ):
        knock.datagram(local, 0)
        assert (requester.asked["source"], requester.asked["source_bits"]) == (
            Source(ip_address(source)),
            bits,
        )
        assert binding.described(local) == words
    assert [binding.misses(local) for local in (PUBLIC4, PUBLIC6)] == [True, True]


@pytest.mark.parametrize(
    "text", ["192.0.2.1,192.0.2.2", "192.0.2.1,2001:db8::1,2001:db8::2", "192.0.2.1,", "auto,192.0.2.1", ","]
)
def test_a_family_is_bound_once(text: str) -> None:
    """Two addresses of one, or a word among them, are usage errors."""
    with pytest.raises(UsageError):
        Binding.parse(text)


def test_a_datagram_carries_the_wish() -> None:
    """Binding, services and idle time reach the requester, with the time of this moment."""
    requester, ssh = RecordingRequester(), Service(Protocol.TCP, 22)
    knock = Knock(requester, Binding.parse("203.0.113.0/24"), (ssh,), 120)
    assert knock.datagram(PRIVATE4, 1_790_000_000_123) == b"sealed"
    assert requester.asked == {
        "unix_ms": 1_790_000_000_123,
        "source": Source(ip_address("203.0.113.0")),
        "source_bits": 120,
        "services": (ssh,),
        "idle_s": 120,
    }


def test_the_installed_scheme_is_found() -> None:
    """spale-core brings hpke along; a name that nobody offers is an error with a remedy."""
    assert find_scheme("hpke").name == "hpke"
    with pytest.raises(PluginError, match="no plugins 'nonsense'"):
        find_scheme("nonsense")
    with pytest.raises(PluginError, match="'memory'"):
        find_scheme("memory")
