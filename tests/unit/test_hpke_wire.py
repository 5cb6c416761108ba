# SPDX-License-Identifier: MIT
"""The datagram's form: the shared vectors both ways, and every refusal that wire-format.md lists."""

from __future__ import annotations

import json
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from spale_core.errors import DataError
from spale_core.model import Datagram, Protocol, Service, Source
from spale_crypto_hpke import wire
from spale_crypto_hpke.authenticator import HpkeAuthenticator
from spale_crypto_hpke.requester import HpkeRequester
from spale_crypto_hpke.suite import KeyPair
from spale_crypto_hpke.wire import Plaintext

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "spa-v2.json").read_text(encoding="utf-8"))
SSH = Service(Protocol.TCP, 22)


def plaintext_of(vector: dict[str, Any]) -> Plaintext:
    """Return what a vector says."""
    source = None if vector["source"] is None else Source(ip_address(vector["source"]))
    services = tuple(Service(*each) for each in vector["services"])
    return Plaintext(vector["unix_ms"], source, vector["source_bits"], services, vector["idle_s"])


@pytest.fixture(params=VECTORS, ids=lambda vector: vector["name"])
def vector(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return each shared vector, hexadecimal text as bytes."""
    plain = {"name", "source"}
    return {
        name: bytes.fromhex(value) if isinstance(value, str) and name not in plain else value
        for name, value in request.param.items()
    }


def test_vector_plaintext_both_ways(vector: dict[str, Any]) -> None:
    """Encoding gives the vector's 64 bytes; decoding gives back what was said."""
    said = plaintext_of(vector)
    assert wire.encode(said) == vector["plaintext"]
    assert wire.decode(vector["plaintext"]) == said


def test_vector_tags(vector: dict[str, Any]) -> None:
    """Both halves derive the vector's tag key, and from it its tag and mac key."""
    client, server = KeyPair.from_raw(vector["sk_s"]), KeyPair.from_raw(vector["sk_r"])
    for static in (client.dh(server.public), server.dh(client.public)):
        assert wire.derive_tag_key(static, vector["pk_r"], vector["pk_s"]) == vector["tag_key"]
    assert wire.epoch_of(vector["unix_ms"]) == vector["epoch"]
    assert wire.derive_tag(vector["tag_key"], vector["epoch"]) == (vector["datagram"][:8], vector["mac_key"])


def test_vector_is_sealed_byte_for_byte(vector: dict[str, Any]) -> None:
    """A requester with the vector's ephemeral key makes the vector's datagram."""
    client, ephemeral = KeyPair.from_raw(vector["sk_s"]), KeyPair.from_raw(vector["sk_e"])
    said = plaintext_of(vector)
    datagram = HpkeRequester(vector["pk_r"], client, lambda: ephemeral).seal(
        unix_ms=said.unix_ms,
        source=said.source,
        source_bits=said.source_bits,
        services=said.services,
        idle_s=said.idle_s,
    )
    assert datagram == vector["datagram"]


def test_vector_is_opened(vector: dict[str, Any]) -> None:
    """An authenticator with the vector's server key understands it."""
    said = plaintext_of(vector)
    authenticator = HpkeAuthenticator([KeyPair.from_raw(vector["sk_r"])], [vector["pk_s"]])
    (tag,) = authenticator.tags(vector["epoch"])
    assert (tag.tag, tag.mac_key) == (vector["datagram"][:8], vector["mac_key"])
    source = said.source or Source(ip_address("192.0.2.1"))
    claim = authenticator.authenticate(Datagram(vector["datagram"], source, 40000, 1), set())
    assert (claim.client, claim.enc, claim.unix_ms) == (0, vector["datagram"][16:48], vector["unix_ms"])
    assert (claim.source, claim.bound) == (source, said.source is not None)
    assert (claim.services, claim.idle_s) == (frozenset(said.services), vector["idle_s"])


BOUND = wire.encode(Plaintext(1_790_000_000_123, Source(ip_address("198.51.100.23"))))
BOUND6 = wire.encode(Plaintext(1_790_000_000_123, Source(ip_address("2001:db8::17"))))
PREFIX = wire.encode(Plaintext(1_790_000_000_123, Source(ip_address("203.0.113.0")), 120))
UNBOUND = wire.encode(Plaintext(1_790_000_000_123))
LISTED = wire.encode(Plaintext(1_790_000_000_123, services=(SSH, Service(Protocol.UDP, 53))))


def changed(raw: bytes, changes: dict[int, int | bytes]) -> bytes:
    """Return `raw` with bytes replaced at offsets."""
    result = bytearray(raw)
    for offset, value in changes.items():
        new = bytes([value]) if isinstance(value, int) else value
        result[offset : offset + len(new)] = new
    return bytes(result)


REFUSED = {
    "version 0": changed(UNBOUND, {0: 0}),
    "version 1": changed(UNBOUND, {0: 1}),
    "version 3": changed(UNBOUND, {0: 3}),
    **{f"unknown flag {bit}": changed(UNBOUND, {1: 1 << bit}) for bit in range(2, 8)},
    "9 services": changed(LISTED, {28: 9}),
    "255 services": changed(LISTED, {28: 255}),
    "port 0": changed(LISTED, {30: bytes(2)}),
    "protocol 0": changed(LISTED, {29: 0}),
    "protocol 1": changed(LISTED, {29: 1}),
    "protocol 132": changed(LISTED, {29: 132}),
    "the same service twice": changed(LISTED, {32: LISTED[29:32]}),
    "listed without the flag": changed(LISTED, {1: 0}),
    "the flag without a list": changed(UNBOUND, {1: 2}),
    "more listed than counted": changed(LISTED, {28: 1}),
    "fewer listed than counted": changed(LISTED, {28: 3}),
    "bound without the flag": changed(BOUND, {1: 0}),
    "the flag without an address": changed(UNBOUND, {1: 1}),
    "bound to ::ffff:0.0.0.0": changed(BOUND, {24: bytes(4)}),
    "bound to IPv4 multicast": changed(BOUND, {24: 224}),
    "bound to IPv6 multicast": changed(BOUND6, {12: 0xFF}),
    "bound to IPv4 loopback": changed(BOUND, {24: 127}),
    "bound to IPv6 loopback": changed(BOUND6, {12: bytes(15) + b"\x01"}),
    "source_bits without binding": changed(UNBOUND, {53: 120}),
    **{
        f"IPv4 /8 with {bits} bits": changed(PREFIX, {25: bytes(3), 53: bits})
        for bits in (1, 32, 103, 128, 255)
    },
    **{f"IPv6 with {bits} bits": changed(BOUND6, {14: bytes(14), 53: bits}) for bits in (1, 31, 128, 255)},
    "IPv4 host bits": changed(PREFIX, {27: 1}),
    "IPv6 host bits": changed(BOUND6, {53: 64}),
    **{f"byte {offset} not zero": changed(UNBOUND, {offset: 1}) for offset in range(12, 64)},
    **{
        f"bit {bit} of byte {offset}": changed(UNBOUND, {offset: 1 << bit})
        for offset in range(54, 64)
        for bit in range(8)
    },
}


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED.keys())
def test_refused_form(raw: bytes) -> None:
    """A plaintext that says anything in another form than the one is no plaintext."""
    assert len(raw) == 64
    assert wire.decode(raw) is None


@pytest.mark.parametrize(
    ("address", "bits"), [("10.0.0.0", 104), ("192.0.2.254", 127), ("2001:db8::", 32), ("2001:db8::fe", 127)]
)
def test_prefix_limits_are_inclusive(address: str, bits: int) -> None:
    """The shortest and the longest prefix of each family are understood."""
    said = Plaintext(0, Source(ip_address(address)), bits)
    assert wire.decode(wire.encode(said)) == said


UNSAYABLE = {
    "9 services": Plaintext(0, services=tuple(Service(Protocol.TCP, port) for port in range(1, 10))),
    "twice": Plaintext(0, services=(SSH, SSH)),
    "idle time of 65536": Plaintext(0, idle_s=65536),
    "idle time of -1": Plaintext(0, idle_s=-1),
    "the time": Plaintext(2**64),
    "without an address": Plaintext(0, source_bits=120),
    "127.0.0.1 cannot": Plaintext(0, Source(ip_address("127.0.0.1"))),
    "ff02::1 cannot": Plaintext(0, Source(ip_address("ff02::1"))),
    ":: cannot": Plaintext(0, Source(ip_address("::"))),
    "IPv4 has 8 to 31 bits": Plaintext(0, Source(ip_address("10.0.0.0")), 103),
    "IPv6 has 32 to 127 bits": Plaintext(0, Source(ip_address("2001:db8::")), 31),
    "bits behind": Plaintext(0, Source(ip_address("10.0.0.1")), 120),
}


@pytest.mark.parametrize(("words", "said"), UNSAYABLE.items(), ids=UNSAYABLE.keys())
def test_a_client_is_told_what_no_server_would_accept(words: str, said: Plaintext) -> None:
    """The same rules hold when a datagram is made, with words for the user."""
    with pytest.raises(DataError, match=words):
        wire.encode(said)


MATCHES = [
    (None, 0, "192.0.2.1", True),
    ("192.0.2.1", 0, "192.0.2.1", True),
    ("192.0.2.1", 0, "192.0.2.2", False),
    ("192.0.2.0", 120, "192.0.2.255", True),
    ("192.0.2.0", 120, "192.0.3.0", False),
    ("10.0.0.0", 104, "10.255.0.1", True),
    ("10.0.0.0", 104, "11.0.0.0", False),
    ("192.0.2.254", 127, "192.0.2.255", True),
    ("192.0.2.254", 127, "192.0.2.253", False),
    ("2001:db8::17", 0, "2001:db8::17", True),
    ("2001:db8::17", 0, "2001:db8::18", False),
    ("2001:db8:1::", 48, "2001:db8:1:ffff::1", True),
    ("2001:db8:1::", 48, "2001:db8:2::1", False),
    ("2001:db8::", 32, "192.0.2.1", False),
    ("192.0.2.1", 0, "2001:db8::1", False),
    ("::8000:0:0", 81, "192.0.2.1", False),
]


@pytest.mark.parametrize(("bound", "bits", "came_from", "expected"), MATCHES)
def test_source_matches(bound: str | None, bits: int, came_from: str, expected: bool) -> None:  # noqa: FBT001 - a table
    """A bound datagram is good from the claimed address or prefix only, and never across the families."""
    said = Plaintext(0, None if bound is None else Source(ip_address(bound)), bits)
    assert wire.source_matches(said, Source(ip_address(came_from))) is expected
