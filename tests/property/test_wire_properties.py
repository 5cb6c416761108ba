# SPDX-License-Identifier: MIT
"""Whatever is said comes through unchanged; whatever is changed is refused with a reason."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from hypothesis import assume, example, given
from hypothesis import strategies as st

from spale_core.errors import DataError
from spale_core.model import Claim, Datagram, Protocol, Reason, Service, Source
from spale_crypto_hpke import keys, wire
from spale_crypto_hpke.authenticator import HpkeAuthenticator
from spale_crypto_hpke.requester import HpkeRequester
from spale_crypto_hpke.suite import KeyPair

SERVER, CLIENT, STRANGER = (KeyPair.from_raw(bytes([number]) * 32) for number in (7, 8, 9))
EPOCH = 59_666_667
TIMES = st.integers(EPOCH * 30_000, EPOCH * 30_000 + 29_999)
SERVICES = st.builds(Service, st.sampled_from(Protocol), st.integers(1, 65535))
WISHES = st.fixed_dictionaries(
    {"services": st.lists(SERVICES, max_size=8, unique=True), "idle_s": st.integers(0, 65535)}
)
SOURCES = st.one_of(st.builds(Source, st.ip_addresses(v=4)), st.builds(Source, st.ip_addresses(v=6)))


def usable(source: Source) -> bool:
    """Return whether a knock can come from there."""
    address = source.address
    return not (address.is_multicast or address.is_loopback or address.is_unspecified)


def authenticator() -> HpkeAuthenticator:
    """Return one that knows the client and has made the epoch's tags."""
    made = HpkeAuthenticator([SERVER], [CLIENT.public])
    made.tags(EPOCH)
    return made


AUTHENTICATOR = authenticator()


def judged(payload: bytes, source: Source) -> Claim | Reason:
    """Return what the authenticator says."""
    return AUTHENTICATOR.authenticate(Datagram(payload, source, 1, 1), set())


@given(unix_ms=TIMES, wish=WISHES, source=SOURCES.filter(usable), bound=st.booleans())
def test_round_trip(unix_ms: int, wish: dict[str, object], source: Source, bound: bool) -> None:  # noqa: FBT001 - drawn
    """A claim is exactly what was asked for."""
    claimed = source if bound else None
    payload = HpkeRequester(SERVER.public, CLIENT).seal(unix_ms=unix_ms, source=claimed, **wish)
    assert len(payload) == wire.LENGTH
    assert judged(payload, source) == Claim(
        client=0,
        enc=payload[16:48],
        unix_ms=unix_ms,
        source=source,
        bound=bound,
        services=frozenset(wish["services"]),
        idle_s=wish["idle_s"],
    )


@given(source=SOURCES.filter(usable), bits=st.integers(0, 127), other=SOURCES)
def test_a_prefix_covers_exactly_its_own(source: Source, bits: int, other: Source) -> None:
    """Two sources match under a prefix exactly if they are of one family and share its bits."""
    shift = 128 - (bits or 128)
    network = Source.unpack((int.from_bytes(source.packed, "big") >> shift << shift).to_bytes(16, "big"))
    assume(network.address.version == source.address.version)
    try:
        raw = wire.encode(wire.Plaintext(0, network, bits))
    except DataError:
        least = 104 if source.address.version == 4 else 32
        assert 0 < bits < least or not usable(network)
        return
    said = wire.decode(raw)
    assert said is not None
    assert wire.source_matches(said, source)
    same = int.from_bytes(other.packed, "big") >> shift == int.from_bytes(network.packed, "big") >> shift
    family = other.address.version == network.address.version
    assert wire.source_matches(said, other) == (same and family)


@given(raw=st.binary(min_size=64, max_size=64))
def test_any_64_bytes_decode_or_do_not(raw: bytes) -> None:
    """Decoding never raises, and what it accepts it encodes to the same bytes."""
    said = wire.decode(raw)
    assert said is None or wire.encode(said) == raw


@given(
    unix_ms=TIMES,
    wish=WISHES,
    source=SOURCES.filter(usable),
    changes=st.dictionaries(st.integers(0, 63), st.integers(0, 255), max_size=4),
)
def test_nearly_right_64_bytes(
    unix_ms: int, wish: dict[str, object], source: Source, changes: dict[int, int]
) -> None:
    """The same close to what is right, where the rules are."""
    said = wire.Plaintext(unix_ms, source, 0, tuple(wish["services"]), wish["idle_s"])
    raw = bytearray(wire.encode(said))
    for offset, value in changes.items():
        raw[offset] = value
    decoded = wire.decode(bytes(raw))
    assert decoded is None or wire.encode(decoded) == bytes(raw)


GOOD = HpkeRequester(SERVER.public, CLIENT).seal(unix_ms=EPOCH * 30_000)
HERE = Source(IPv4Address("192.0.2.1"))


@given(st.integers(0, 127), st.integers(1, 255))
def test_any_changed_byte_is_refused(offset: int, difference: int) -> None:
    """At each position, by whatever value: a reason, never an exception, never a claim."""
    changed = bytearray(GOOD)
    changed[offset] ^= difference
    assert isinstance(judged(bytes(changed), HERE), Reason)


@given(st.binary(max_size=300), SOURCES)
def test_any_bytes_are_refused(payload: bytes, source: Source) -> None:
    """Noise of any length from anywhere is a reason, never an exception."""
    assert isinstance(judged(payload, source), Reason)


@given(enc=st.binary(min_size=32, max_size=32), ct=st.binary(min_size=80, max_size=80))
def test_any_bytes_behind_a_right_tag_and_mac(enc: bytes, ct: bytes) -> None:
    """What gets past the kernel still has to open."""
    (tag,) = AUTHENTICATOR.tags(EPOCH)
    assert judged(wire.assemble(tag.tag, tag.mac_key, enc, ct), HERE) is Reason.NOT_OPENED


@given(unix_ms=TIMES, wish=WISHES)
def test_a_strangers_datagram_never_opens(unix_ms: int, wish: dict[str, object]) -> None:
    """Knowing the server's public key is not enough, nor is being another server's client."""
    for client, server in ((STRANGER, SERVER), (CLIENT, STRANGER)):
        payload = HpkeRequester(server.public, client).seal(unix_ms=unix_ms, **wish)
        assert judged(payload, Source(IPv6Address("2001:db8::1"))) is Reason.UNKNOWN_TAG


PEM = keys.write_public(SERVER.public) + keys.write_private(bytes([8]) * 32)


@given(st.lists(st.tuples(st.integers(0, len(PEM) - 1), st.integers(0, 255)), min_size=1, max_size=5))
@example([(35, ord("/"))])  # a kind of key that nobody knows
def test_a_damaged_key_file_is_data(changes: list[tuple[int, int]]) -> None:
    """Reading one gives keys or DataError, nothing else."""
    damaged = bytearray(PEM)
    for offset, value in changes:
        damaged[offset] = value
    try:
        keys.read_key_file(bytes(damaged))
    except DataError:
        return


@given(st.binary(max_size=400))
def test_any_bytes_as_a_key_file(content: bytes) -> None:
    """The same for noise, in a PEM block or not."""
    for candidate in (content, keys._pem("PUBLIC KEY", content) + keys._pem("PRIVATE KEY", content)):
        try:
            keys.read_key_file(candidate)
        except DataError:
            continue
