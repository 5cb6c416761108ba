# SPDX-License-Identifier: MIT
"""The authenticator: a claim from what a configured client made, a reason for everything else."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from attrs import evolve

from spale_core.errors import DataError
from spale_core.model import Claim, Datagram, Protocol, Reason, Service, Source, Tag
from spale_core.siphash import siphash24
from spale_crypto_hpke import keys, plugin, wire
from spale_crypto_hpke.authenticator import KEPT_EPOCHS, HpkeAuthenticator
from spale_crypto_hpke.requester import HpkeRequester
from spale_crypto_hpke.suite import Context, KeyPair, auth_encap

EPOCH = 59_666_667
NOW_MS = EPOCH * 30_000 + 12_345
HERE = Source(ip_address("198.51.100.23"))
ELSEWHERE = Source(ip_address("198.51.100.24"))
SERVER, OTHER_SERVER, ALICE, BOB = (KeyPair.from_raw(bytes([number]) * 32) for number in range(1, 5))
LOW_ORDER = 325606250916557431795983626356110631294008115727848805560023387167927233504


@pytest.fixture
def authenticator() -> HpkeAuthenticator:
    """Return one that knows two clients and has made the tags of now."""
    made = HpkeAuthenticator([SERVER], [ALICE.public, BOB.public])
    made.tags(EPOCH)
    return made


def knock(client: KeyPair = ALICE, server: KeyPair = SERVER, **wish: object) -> bytes:
    """Return a datagram of `client` to `server`."""
    return HpkeRequester(server.public, client).seal(**{"unix_ms": NOW_MS, **wish})


def arrived(payload: bytes, source: Source = HERE) -> Datagram:
    """Return `payload` as it comes from the socket."""
    return Datagram(payload, source, 40000, 2)


def forged(plaintext: bytes, epoch: int = EPOCH, client: KeyPair = ALICE) -> bytes:
    """Return a datagram with right tag, mac and seal around any 64 bytes, as only a client can make it."""
    static = client.dh(SERVER.public)
    tag, mac_key = wire.derive_tag(wire.derive_tag_key(static, SERVER.public, client.public), epoch)
    ephemeral = KeyPair.generate()
    context = Context(auth_encap(ephemeral, SERVER.public, client.public, static), wire.INFO)
    return wire.assemble(tag, mac_key, ephemeral.public, context.seal(tag, plaintext))


def remade(payload: bytes, authenticator: HpkeAuthenticator, changes: dict[int, bytes]) -> bytes:
    """Return `payload` changed at offsets behind the mac, under a mac that is right again."""
    (mac_key,) = [tag.mac_key for tag in authenticator.tags(EPOCH) if tag.tag == payload[:8]]
    body = bytearray(payload[16:])
    for offset, new in changes.items():
        body[offset - 16 : offset - 16 + len(new)] = new
    return payload[:8] + siphash24(mac_key, bytes(body)) + bytes(body)


def test_a_claim_says_who_and_what(authenticator: HpkeAuthenticator) -> None:
    """Client, replay identity, time, source and wish all come through."""
    services = (Service(Protocol.TCP, 22), Service(Protocol.UDP, 51820))
    payload = knock(BOB, services=services, idle_s=120, source=HERE)
    assert authenticator.authenticate(arrived(payload), set()) == Claim(
        client=1,
        enc=payload[16:48],
        unix_ms=NOW_MS,
        source=HERE,
        bound=True,
        services=frozenset(services),
        idle_s=120,
    )


def test_an_unbound_claim_says_so(authenticator: HpkeAuthenticator) -> None:
    """Whether that is good enough is judged elsewhere."""
    claim = authenticator.authenticate(arrived(knock(), ELSEWHERE), set())
    assert isinstance(claim, Claim)
    assert (claim.bound, claim.source) == (False, ELSEWHERE)


@pytest.mark.parametrize("payload", [b"", knock()[:-1], knock() + b"\0", bytes(127), bytes(129), bytes(97)])
def test_another_length(authenticator: HpkeAuthenticator, payload: bytes) -> None:
    """A missing or an extra byte is refused before anything is looked at."""
    assert authenticator.authenticate(arrived(payload), set()) is Reason.SPA_LENGTH


def test_every_byte_counts(authenticator: HpkeAuthenticator) -> None:
    """One flipped bit at any of the 128 positions is refused: by the tag up to 7, by the mac from 8 on."""
    payload = knock()
    for offset in range(128):
        for bit in range(8):
            flipped = bytearray(payload)
            flipped[offset] ^= 1 << bit
            reason = authenticator.authenticate(arrived(bytes(flipped)), set())
            assert reason is (Reason.UNKNOWN_TAG if offset < 8 else Reason.BAD_MAC), (offset, bit)


def test_every_byte_counts_behind_a_right_mac(authenticator: HpkeAuthenticator) -> None:
    """The seal alone refuses a flipped bit in `enc` or the ciphertext, also the ones that X25519 ignores."""
    payload = knock()
    for offset in range(16, 128):
        for bit in (0, 7):
            flipped = bytes([payload[offset] ^ 1 << bit])
            changed = remade(payload, authenticator, {offset: flipped})
            assert authenticator.authenticate(arrived(changed), set()) is Reason.NOT_OPENED, (offset, bit)


@pytest.mark.parametrize("coordinate", [0, 1, LOW_ORDER, 2**255 - 20, 2**255 - 19, 2**255 + 1, 2**256 - 1])
def test_a_low_order_enc_does_not_open(authenticator: HpkeAuthenticator, coordinate: int) -> None:
    """A low-order or non-canonical ephemeral key is a reason, never an exception."""
    payload = remade(knock(), authenticator, {16: coordinate.to_bytes(32, "little")})
    assert authenticator.authenticate(arrived(payload), set()) is Reason.NOT_OPENED


def test_an_unknown_client(authenticator: HpkeAuthenticator) -> None:
    """Whoever is not configured has no tag here."""
    assert authenticator.authenticate(arrived(knock(KeyPair.generate())), set()) is Reason.UNKNOWN_TAG


def test_a_wrong_server_key(authenticator: HpkeAuthenticator) -> None:
    """A knock at another server is nothing here, though the client is known."""
    assert authenticator.authenticate(arrived(knock(server=OTHER_SERVER)), set()) is Reason.UNKNOWN_TAG


def test_a_tag_of_another_client_in_front(authenticator: HpkeAuthenticator) -> None:
    """A client cannot pass for another one: the tag chooses whose seal it must be."""
    alice, bob = knock(ALICE), knock(BOB)
    mixed = remade(alice, authenticator, {16: bob[16:]})
    assert authenticator.authenticate(arrived(mixed), set()) is Reason.NOT_OPENED


def test_a_replay_comes_before_the_mac(authenticator: HpkeAuthenticator) -> None:
    """An `enc` seen before costs no hash; wire-format.md has it in this order."""
    payload = knock()
    seen = {payload[16:48]}
    assert authenticator.authenticate(arrived(payload), seen) is Reason.REPLAY
    broken = payload[:8] + bytes(8) + payload[16:]
    assert authenticator.authenticate(arrived(broken), seen) is Reason.REPLAY
    assert authenticator.authenticate(arrived(broken), set()) is Reason.BAD_MAC


def test_a_form_that_is_none(authenticator: HpkeAuthenticator) -> None:
    """What a client has sealed in a wrong form is refused as such."""
    assert authenticator.authenticate(arrived(forged(bytes(64))), set()) is Reason.MALFORMED


@pytest.mark.parametrize("unix_ms", [EPOCH * 30_000 - 1, EPOCH * 30_000 + 30_000, 0, 2**64 - 1])
def test_a_time_outside_the_tags_epoch(authenticator: HpkeAuthenticator, unix_ms: int) -> None:
    """Tag and time are one reading of one clock."""
    payload = forged(wire.encode(wire.Plaintext(unix_ms)))
    assert authenticator.authenticate(arrived(payload), set()) is Reason.MALFORMED


@pytest.mark.parametrize("unix_ms", [EPOCH * 30_000, EPOCH * 30_000 + 29_999])
def test_the_first_and_the_last_moment_of_an_epoch(authenticator: HpkeAuthenticator, unix_ms: int) -> None:
    """Both belong to it."""
    assert isinstance(authenticator.authenticate(arrived(knock(unix_ms=unix_ms)), set()), Claim)


def test_a_bound_source_that_does_not_match(authenticator: HpkeAuthenticator) -> None:
    """A captured datagram opens nothing from elsewhere; a prefix covers its own only."""
    assert authenticator.authenticate(arrived(knock(source=HERE), ELSEWHERE), set()) is Reason.SOURCE_MISMATCH
    prefix = {"source": Source(ip_address("198.51.100.0")), "source_bits": 120}
    assert isinstance(authenticator.authenticate(arrived(knock(**prefix), ELSEWHERE), set()), Claim)
    outside = Source(ip_address("198.51.101.1"))
    assert authenticator.authenticate(arrived(knock(**prefix), outside), set()) is Reason.SOURCE_MISMATCH


def test_every_server_key_has_its_tags() -> None:
    """While keys rotate, both open, and each tag says which key it belongs to."""
    authenticator = HpkeAuthenticator([SERVER, OTHER_SERVER], [ALICE.public, BOB.public])
    tags = authenticator.tags(EPOCH)
    assert {(tag.client, tag.server_key) for tag in tags} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert len({tag.tag for tag in tags}) == 4
    for server in (SERVER, OTHER_SERVER):
        claim = authenticator.authenticate(arrived(knock(BOB, server)), set())
        assert isinstance(claim, Claim)
        assert claim.client == 1


def test_equal_tags_are_each_tried(authenticator: HpkeAuthenticator) -> None:
    """Should the tags of two clients be the same, both still get in."""
    alice, bob = authenticator.tags(EPOCH)
    table = authenticator._epochs[EPOCH]
    collided = evolve(bob, tag=alice.tag)
    table[alice.tag].append((collided, table.pop(bob.tag)[0][1]))
    assert [tag.client for tag in authenticator.tags(EPOCH)] == [0, 1]

    peer = table[alice.tag][1][1]
    ephemeral = KeyPair.generate()
    shared = auth_encap(ephemeral, SERVER.public, BOB.public, peer.static)
    ct = Context(shared, wire.INFO).seal(alice.tag, wire.encode(wire.Plaintext(NOW_MS)))
    of_bob = wire.assemble(alice.tag, bob.mac_key, ephemeral.public, ct)
    for payload, client in ((knock(ALICE), 0), (of_bob, 1)):
        claim = authenticator.authenticate(arrived(payload), set())
        assert isinstance(claim, Claim)
        assert claim.client == client
    junk = of_bob[:8] + bytes(8) + of_bob[16:]
    assert authenticator.authenticate(arrived(junk), set()) is Reason.BAD_MAC


def test_only_epochs_asked_for_are_recognised(authenticator: HpkeAuthenticator) -> None:
    """A tag that the kernel was never given opens nothing in user space either."""
    payload = knock(unix_ms=NOW_MS + 30_000)
    assert authenticator.authenticate(arrived(payload), set()) is Reason.UNKNOWN_TAG
    authenticator.tags(EPOCH + 1)
    assert isinstance(authenticator.authenticate(arrived(payload), set()), Claim)


def test_the_epochs_asked_for_last_are_kept(authenticator: HpkeAuthenticator) -> None:
    """Twelve, whichever way the clock was stepped; asking again keeps one longer."""
    payload = arrived(knock())
    for distance in range(1, KEPT_EPOCHS):
        authenticator.tags(EPOCH - 1000 * distance)
    assert isinstance(authenticator.authenticate(payload, set()), Claim)
    authenticator.tags(EPOCH)
    authenticator.tags(EPOCH + 1)
    assert isinstance(authenticator.authenticate(payload, set()), Claim)
    for distance in range(2, KEPT_EPOCHS + 1):
        authenticator.tags(EPOCH + distance)
    assert authenticator.authenticate(payload, set()) is Reason.UNKNOWN_TAG


def test_tags_are_the_same_each_time(authenticator: HpkeAuthenticator) -> None:
    """Asking twice gives equal values in the same order."""
    first = authenticator.tags(EPOCH)
    assert authenticator.tags(EPOCH) == first
    assert all(isinstance(tag, Tag) and tag.epoch == EPOCH for tag in first)


BAD_CLIENTS = {
    "client key 2: .*canonical": [ALICE.public, (2**255 - 19).to_bytes(32, "little")],
    "client key 1: .*canonical": [bytes([*ALICE.public[:31], ALICE.public[31] | 0x80])],
    "client key 1: .*low-order": [bytes(32)],
    "client key 2: .*low-order": [ALICE.public, (2**255 - 20).to_bytes(32, "little")],
    "client key 1: .*32 bytes, not 31": [bytes(31)],
    "client key 2: .*server's own": [ALICE.public, OTHER_SERVER.public],
    "client key 3: .*same key as client key 1": [ALICE.public, BOB.public, ALICE.public],
}


@pytest.mark.parametrize(("words", "clients"), BAD_CLIENTS.items(), ids=BAD_CLIENTS.keys())
def test_a_bad_client_key_is_named_at_the_start(words: str, clients: list[bytes]) -> None:
    """Which one, and what is wrong with it."""
    with pytest.raises(DataError, match=words):
        HpkeAuthenticator([SERVER, OTHER_SERVER], clients)


def test_bad_server_keys_are_refused_at_the_start() -> None:
    """None, or one twice, is a mistake; so is a file that holds none, and it is counted."""
    with pytest.raises(DataError, match="no server key"):
        HpkeAuthenticator([], [ALICE.public])
    with pytest.raises(DataError, match="the same"):
        HpkeAuthenticator([SERVER, SERVER], [ALICE.public])
    good = keys.write_private(SERVER.private.private_bytes_raw())
    with pytest.raises(DataError, match="server key 2: no PEM block"):
        plugin.make_authenticator([good, b"junk"], [ALICE.public])


def test_the_offer_makes_both_halves() -> None:
    """What the plugin registers opens what it seals."""
    (scheme,) = plugin.spale_register_auth_schemes()
    server, alice = (keys.write_private(pair.private.private_bytes_raw()) for pair in (SERVER, ALICE))
    authenticator = scheme.make_authenticator([server], [ALICE.public])
    authenticator.tags(EPOCH)
    requester = scheme.make_requester(alice + keys.write_public(SERVER.public))
    assert (scheme.name, authenticator.length) == ("hpke", 128)
    claim = authenticator.authenticate(arrived(requester.seal(unix_ms=NOW_MS)), set())
    assert isinstance(claim, Claim)


def test_no_secret_is_shown(authenticator: HpkeAuthenticator) -> None:
    """Nothing that a traceback or a log may print contains a key."""
    tag = authenticator.tags(EPOCH)[0]
    peer = authenticator._peers[0]
    shown = repr(tag) + repr(peer) + repr(authenticator)
    for secret in (tag.mac_key, peer.static, peer.tag_key):
        assert repr(secret) not in shown


def test_a_requester_refuses_a_low_order_server() -> None:
    """Also when nobody has looked at the key before."""
    with pytest.raises(DataError, match="low-order"):
        HpkeRequester(bytes(32), ALICE)


def test_each_datagram_is_fresh() -> None:
    """Two with the same wish share the tag and nothing behind it."""
    first, second = knock(), knock()
    assert first[:8] == second[:8]
    assert first[16:48] != second[16:48]
