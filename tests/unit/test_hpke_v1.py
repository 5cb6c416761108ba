# SPDX-License-Identifier: MIT
"""Version 1 of the datagram: the shared vectors both ways, and everything that is refused."""

from __future__ import annotations

import json
from ipaddress import ip_address
from pathlib import Path

import pytest

from spale_core.errors import DataError
from spale_core.model import Claim, Datagram, Protocol, Reason, Service, Source, Tag
from spale_core.schemes import find_scheme
from spale_crypto_hpke import keys, plugin_v1, v1
from spale_crypto_hpke.authenticator_v1 import V1Authenticator
from spale_crypto_hpke.requester_v1 import V1Requester
from spale_crypto_hpke.suite import KeyPair

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "spa-v1.json").read_text(encoding="utf-8"))
STEP = 59_666_667
NOW_MS = STEP * 30_000 + 12_345
HERE = Source(ip_address("198.51.100.23"))
SERVER, OTHER_SERVER, ALICE, BOB = (KeyPair.from_raw(bytes([number]) * 32) for number in range(1, 5))
LOW_ORDER = 325606250916557431795983626356110631294008115727848805560023387167927233504
SSH = Service(Protocol.TCP, 22)


@pytest.fixture(params=VECTORS, ids=lambda vector: vector["time_step"])
def vector(request: pytest.FixtureRequest) -> dict[str, bytes]:
    """Return each shared vector, hexadecimal text as bytes."""
    return {
        name: bytes.fromhex(value) if isinstance(value, str) else value
        for name, value in request.param.items()
    }


@pytest.fixture
def authenticator() -> V1Authenticator:
    """Return one that knows two clients."""
    return V1Authenticator([SERVER], [ALICE.public, BOB.public])


def knock(client: KeyPair = ALICE, server: KeyPair = SERVER, unix_ms: int = NOW_MS) -> bytes:
    """Return a datagram of `client` to `server`."""
    return V1Requester(server.public, client).seal(unix_ms=unix_ms)


def forged(plaintext: bytes, client: KeyPair = ALICE) -> bytes:
    """Return a datagram with any 17 bytes in it, as only a client can make it."""
    ephemeral, static = KeyPair.generate(), client.dh(SERVER.public)
    context = v1.Context.of_sender(ephemeral, SERVER.public, client.public, static)
    return client.public + ephemeral.public + context.seal(plaintext)


def arrived(payload: bytes) -> Datagram:
    """Return `payload` as it comes from the socket."""
    return Datagram(payload, HERE, 40000, 2)


def test_vector_is_sealed_byte_for_byte(vector: dict[str, bytes]) -> None:
    """With the vector's ephemeral key and nonce the requester makes the vector's datagram."""
    client, ephemeral = KeyPair.from_raw(vector["sk_s"]), KeyPair.from_raw(vector["sk_e"])
    made = V1Requester(vector["pk_r"], client, lambda: ephemeral, lambda: vector["nonce"])
    assert made.seal(unix_ms=vector["time_step"] * 30_000) == vector["datagram"]
    assert made.seal(unix_ms=vector["time_step"] * 30_000 + 29_999) == vector["datagram"]


def test_vector_opens(vector: dict[str, bytes]) -> None:
    """Its time is the end of its step, its replay identity is `enc`, and it asks for everything."""
    authenticator = V1Authenticator([KeyPair.from_raw(vector["sk_r"])], [vector["pk_s"]])
    assert authenticator.authenticate(arrived(vector["datagram"]), set()) == Claim(
        client=0,
        enc=vector["datagram"][32:64],
        unix_ms=(vector["time_step"] + 1) * 30_000,
        source=HERE,
        bound=False,
        services=frozenset(),
        idle_s=0,
    )


def test_every_byte_counts(authenticator: V1Authenticator) -> None:
    """One flipped bit at any of the 97 positions is refused: by the key up to 31, then by the seal."""
    payload = knock()
    for offset in range(97):
        for bit in (0, 7):
            flipped = bytearray(payload)
            flipped[offset] ^= 1 << bit
            reason = authenticator.authenticate(arrived(bytes(flipped)), set())
            assert reason is (Reason.UNKNOWN_TAG if offset < 32 else Reason.NOT_OPENED), (offset, bit)


@pytest.mark.parametrize("length", [0, 1, 96, 98, 128])
def test_another_length(authenticator: V1Authenticator, length: int) -> None:
    """A missing or an extra byte is refused before anything is looked at."""
    payload = knock().ljust(length, b"\0")[:length]
    assert authenticator.authenticate(arrived(payload), set()) is Reason.SPA_LENGTH


def test_a_key_that_differs_behind_the_tag(authenticator: V1Authenticator) -> None:
    """The kernel compares 8 bytes of the key, the listener all of them."""
    payload = ALICE.public[:8] + BOB.public[8:] + knock()[32:]
    assert authenticator.authenticate(arrived(payload), set()) is Reason.UNKNOWN_TAG


def test_anothers_name_on_it(authenticator: V1Authenticator) -> None:
    """A client's public key is for all to see, and opens nothing for who only has that."""
    payload = BOB.public + knock(ALICE)[32:]
    assert authenticator.authenticate(arrived(payload), set()) is Reason.NOT_OPENED


@pytest.mark.parametrize("coordinate", [0, 1, LOW_ORDER, 2**255 - 20, 2**255 - 19, 2**255 + 1, 2**256 - 1])
def test_a_low_order_enc_does_not_open(authenticator: V1Authenticator, coordinate: int) -> None:
    """A low-order or non-canonical ephemeral key is a reason, never an exception."""
    payload = ALICE.public + coordinate.to_bytes(32, "little") + knock()[64:]
    assert authenticator.authenticate(arrived(payload), set()) is Reason.NOT_OPENED


def test_a_replay_costs_no_key_agreement(authenticator: V1Authenticator) -> None:
    """A known `enc` is refused before it is opened, whatever is behind it."""
    payload = knock()[:64] + bytes(33)
    assert authenticator.authenticate(arrived(payload), {payload[32:64]}) is Reason.REPLAY


@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_version_inside(authenticator: V1Authenticator, version: int) -> None:
    """What is sealed says that it is version 1."""
    plaintext = bytes([version]) + v1.encode(STEP, bytes(12))[1:]
    assert authenticator.authenticate(arrived(forged(plaintext)), set()) is Reason.MALFORMED


def test_each_server_key_opens_its_own() -> None:
    """While keys are rotated a client may use either."""
    authenticator = V1Authenticator([SERVER, OTHER_SERVER], [BOB.public, ALICE.public])
    for server in (SERVER, OTHER_SERVER):
        claim = authenticator.authenticate(arrived(knock(server=server)), set())
        assert isinstance(claim, Claim)
        assert claim.client == 1


def test_tags_never_change_and_have_no_mac() -> None:
    """They are the beginning of the client's key, once for each of the server's."""
    authenticator = V1Authenticator([SERVER, OTHER_SERVER], [ALICE.public])
    for epoch in (STEP, STEP + 1):
        wanted = [Tag(0, number, epoch, ALICE.public[:8], b"") for number in (0, 1)]
        assert authenticator.tags(epoch) == wanted


@pytest.mark.parametrize(
    ("clients", "words"),
    [
        ([ALICE.public, ALICE.public], "client key 2: the same key as client key 1"),
        ([SERVER.public], "client key 1: this is the server's own key"),
        ([ALICE.public, LOW_ORDER.to_bytes(32, "little")], "client key 2: .*low-order point"),
    ],
)
def test_bad_keys_are_refused_at_start(clients: list[bytes], words: str) -> None:
    """As for version 2, with their place."""
    with pytest.raises(DataError, match=words):
        V1Authenticator([SERVER], clients)


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"source": HERE}, "the source it opens for"),
        ({"services": (SSH,), "idle_s": 30}, "services, an idle time"),
        ({"unix_ms": 30_000 << 32}, "the time"),
        ({"unix_ms": -1}, "the time"),
    ],
)
def test_what_version_1_cannot_say_is_not_left_out_silently(wish: dict[str, object], words: str) -> None:
    """Above all no retry by an older version weakens a binding."""
    with pytest.raises(DataError, match=words):
        V1Requester(SERVER.public, ALICE).seal(**{"unix_ms": NOW_MS, **wish})


def test_a_server_key_that_is_a_low_order_point() -> None:
    """It would have no secret; the words say whose key it is."""
    with pytest.raises(DataError, match="the server's key"):
        V1Requester(bytes(32), ALICE)


def test_the_scheme_takes_key_files() -> None:
    """As spale-send finds it and the daemon makes it."""
    scheme = find_scheme("hpke-v1")
    assert scheme == plugin_v1.spale_register_auth_schemes()[0]
    pems = [keys.write_private(bytes([number]) * 32) for number in (1, 3)]
    requester = scheme.make_requester(keys.write_public(SERVER.public) + pems[1])
    authenticator = scheme.make_authenticator(pems[:1], [ALICE.public])
    claim = authenticator.authenticate(arrived(requester.seal(unix_ms=NOW_MS)), set())
    assert isinstance(claim, Claim)
    with pytest.raises(DataError, match="server key 1"):
        scheme.make_authenticator([b""], [])
