# SPDX-License-Identifier: MIT
"""The suite is RFC 9180's mode_auth, byte for byte."""

from __future__ import annotations

import json
from typing import Any

import cryptography_vectors
import pytest

from spale_crypto_hpke import suite
from spale_crypto_hpke.suite import Context, KeyPair

LOW_ORDER = [
    0,
    1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
    2**255 - 20,
]
"""The u-coordinates below 2^255 - 19 of points whose order divides 8, on the curve and its twist."""


@pytest.fixture(scope="module")
def vector() -> dict[str, Any]:
    """Return the RFC's vector for mode_auth and our suite."""
    with cryptography_vectors.open_vector_file("HPKE/test-vectors.json", "r") as file:
        vectors = json.load(file)
    (found,) = [
        each
        for each in vectors
        if (each["mode"], each["kem_id"], each["kdf_id"], each["aead_id"]) == (2, 0x20, 1, 3)
    ]
    return {name: bytes.fromhex(value) if isinstance(value, str) else value for name, value in found.items()}


@pytest.fixture(scope="module")
def pairs(vector: dict[str, Any]) -> dict[str, KeyPair]:
    """Return the vector's three key pairs by the RFC's letters."""
    return {letter: KeyPair.from_raw(vector[f"sk{letter}m"]) for letter in "RSE"}


def test_public_keys(vector: dict[str, Any], pairs: dict[str, KeyPair]) -> None:
    """Each private key of the vector has the vector's public key."""
    assert {letter: pair.public for letter, pair in pairs.items()} == {
        letter: vector[f"pk{letter}m"] for letter in "RSE"
    }


def test_shared_secret_from_both_sides(vector: dict[str, Any], pairs: dict[str, KeyPair]) -> None:
    """AuthEncap and AuthDecap agree on the vector's shared secret."""
    sender, recipient = pairs["S"], pairs["R"]
    static = sender.dh(recipient.public)
    assert static == recipient.dh(sender.public)
    sent = suite.auth_encap(pairs["E"], recipient.public, sender.public, static)
    received = suite.auth_decap(vector["enc"], recipient, sender.public, static)
    assert sent == received == vector["shared_secret"]


def test_all_257_encryptions(vector: dict[str, Any], pairs: dict[str, KeyPair]) -> None:
    """Every sequence number from 0 to 256 seals to the vector's bytes and opens again."""
    recipient = pairs["R"]
    enc, sender = suite.setup_auth_sender(recipient.public, vector["info"], pairs["S"], pairs["E"])
    receiver = suite.setup_auth_recipient(enc, recipient, vector["info"], pairs["S"].public)
    assert enc == vector["enc"]
    assert len(vector["encryptions"]) == 257
    for encryption in vector["encryptions"]:
        aad, ct, pt = (bytes.fromhex(encryption[name]) for name in ("aad", "ct", "pt"))
        assert sender.seal(aad, pt) == ct
        assert receiver.open(aad, ct) == pt


def test_a_failed_open_uses_up_nothing(vector: dict[str, Any]) -> None:
    """After a forgery the authentic message with the same sequence number still opens."""
    sender, receiver = (Context(vector["shared_secret"], b"info") for _ in range(2))
    ct = sender.seal(b"aad", b"text")
    for aad, forged in (
        (b"other", ct),
        (b"aad", ct[:-1]),
        (b"aad", b""),
        (b"aad", bytes([ct[0] ^ 1]) + ct[1:]),
    ):
        with pytest.raises(suite.OpenError):
            receiver.open(aad, forged)
    assert receiver.open(b"aad", ct) == b"text"


def test_a_context_ends_before_its_nonces_repeat(vector: dict[str, Any]) -> None:
    """The last sequence number is refused (RFC 9180 section 5.2), to seal and to open."""
    context = Context(vector["shared_secret"], b"")
    context._sequence = 2**96 - 1
    with pytest.raises(suite.MessageLimitReachedError):
        context.seal(b"", b"")
    with pytest.raises(suite.MessageLimitReachedError):
        context.open(b"", bytes(16))


@pytest.mark.parametrize("coordinate", [*LOW_ORDER, 2**255 - 19, 2**255 - 18, 2**255 + 1])
def test_low_order_points_are_refused(coordinate: int) -> None:
    """No key agreement ends in the all-zero secret that anybody could compute."""
    public = coordinate.to_bytes(32, "little")
    pair = KeyPair.generate()
    with pytest.raises(suite.ValidationError):
        pair.dh(public)
    with pytest.raises(suite.ValidationError):
        suite.auth_decap(public, pair, KeyPair.generate().public, bytes(32))


def test_a_back_end_that_returns_zeros_is_refused() -> None:
    """The check for zeros is ours too, should the library's ever go."""

    class Careless:
        def exchange(self, _public: object) -> bytes:
            return bytes(32)

    pair = KeyPair(Careless(), bytes(32))
    with pytest.raises(suite.ValidationError):
        pair.dh(KeyPair.generate().public)


def test_private_keys_are_not_shown() -> None:
    """Neither repr nor str of a pair says anything about the private half."""
    pair = KeyPair.generate()
    assert "private" not in repr(pair)
    assert pair.private.private_bytes_raw().hex() not in str(pair)
