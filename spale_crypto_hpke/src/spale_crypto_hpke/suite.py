# SPDX-License-Identifier: MIT
"""HPKE (RFC 9180) in mode_auth for exactly one suite: no negotiation, nothing else to attack.

DHKEM(X25519, HKDF-SHA256) 0x0020, HKDF-SHA256 0x0001, ChaCha20Poly1305 0x0003; no PSK, no exporter.
X25519, HMAC and the AEAD are `cryptography`'s. The names are the RFC's; so are the three exceptions, which
tell a program of ours that an operation failed and never leave this distribution.
"""

from __future__ import annotations

from functools import lru_cache

from attrs import field, frozen
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

KEY_LENGTH = 32
"""Nsk, Npk, Nenc, Nsecret, Nh and Nk of the suite, in bytes: they are all the same."""

NONCE_LENGTH = 12
MODE_AUTH = b"\x02"
_KEM_SUITE_ID = b"KEM\x00\x20"
HPKE_SUITE_ID = b"HPKE\x00\x20\x00\x01\x00\x03"


class HpkeError(Exception):
    """Base of what can fail here."""


class ValidationError(HpkeError):
    """A key agreement came out all-zero: the public key is a low-order point (section 7.1.4)."""


class OpenError(HpkeError):
    """A ciphertext is not authentic (section 5.2)."""


class MessageLimitReachedError(HpkeError):
    """A context has used up its sequence numbers (section 5.2)."""


@frozen
class KeyPair:
    """An X25519 private key, and its public key as the 32 bytes that enter the hashes."""

    private: X25519PrivateKey = field(repr=False, eq=False)
    public: bytes

    @classmethod
    def generate(cls) -> KeyPair:
        """Return a fresh pair from the operating system's randomness."""
        return cls._of(X25519PrivateKey.generate())

    @classmethod
    def from_raw(cls, private: bytes) -> KeyPair:
        """Return the pair whose private key is these 32 bytes."""
        return cls._of(X25519PrivateKey.from_private_bytes(private))

    @classmethod
    def _of(cls, private: X25519PrivateKey) -> KeyPair:
        return cls(private, private.public_key().public_bytes_raw())

    def dh(self, public: bytes) -> bytes:
        """Return X25519 of our private key and 32 bytes of `public`.

        Raise ValidationError if it is all-zero. Source: RFC 7748 section 6.1, RFC 9180 section 7.1.4.
        """
        try:
            shared = self.private.exchange(X25519PublicKey.from_public_bytes(public))
        except ValueError as error:  # `cryptography` refuses an all-zero result by itself
            raise ValidationError("the public key is a low-order point") from error
        if not any(shared):  # a back end that does not
            raise ValidationError("the public key is a low-order point")
        return shared


def hmac_sha256(key: bytes, data: bytes) -> bytes:
    """Return HMAC-SHA256, 32 bytes; with a salt as `key` this is HKDF-Extract (RFC 5869 section 2.2)."""
    mac = HMAC(key, SHA256())
    mac.update(data)
    return mac.finalize()


def hkdf_expand(prk: bytes, info: bytes, length: int) -> bytes:
    """Return the first `length` bytes, 32 at most, of HKDF-Expand (RFC 5869 section 2.3).

    No output of this suite is longer than the hash, so that one block of the expansion is enough.
    """
    return hmac_sha256(prk, info + b"\x01")[:length]


def labeled_extract(suite_id: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
    """Return LabeledExtract (section 4)."""
    return hmac_sha256(salt, b"HPKE-v1" + suite_id + label + ikm)


def labeled_expand(suite_id: bytes, prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
    """Return LabeledExpand (section 4)."""
    return hkdf_expand(prk, length.to_bytes(2, "big") + b"HPKE-v1" + suite_id + label + info, length)


def _extract_and_expand(dh: bytes, kem_context: bytes) -> bytes:
    """Return the KEM's shared secret (section 4.1, ExtractAndExpand)."""
    eae_prk = labeled_extract(_KEM_SUITE_ID, b"", b"eae_prk", dh)
    return labeled_expand(_KEM_SUITE_ID, eae_prk, b"shared_secret", kem_context, KEY_LENGTH)


def auth_encap(ephemeral: KeyPair, pk_r: bytes, pk_s: bytes, static: bytes) -> bytes:
    """Return the shared secret of a sender; `enc` is the public key of `ephemeral`, which is used once.

    `static` is DH(sk_s, pk_r), which does not change from one call to the next. Raise ValidationError.
    Source: section 4.1, AuthEncap.
    """
    kem_context = ephemeral.public + pk_r + pk_s
    return _extract_and_expand(ephemeral.dh(pk_r) + static, kem_context)


def auth_decap(enc: bytes, recipient: KeyPair, pk_s: bytes, static: bytes) -> bytes:
    """Return the shared secret of a recipient: one X25519, since `static`, DH(sk_r, pk_s), is known.

    Raise ValidationError. Source: section 4.1, AuthDecap.
    """
    kem_context = enc + recipient.public + pk_s
    return _extract_and_expand(recipient.dh(enc) + static, kem_context)


@lru_cache(maxsize=8)
def _key_schedule_context(info: bytes) -> bytes:
    psk_id_hash = labeled_extract(HPKE_SUITE_ID, b"", b"psk_id_hash", b"")
    info_hash = labeled_extract(HPKE_SUITE_ID, b"", b"info_hash", info)
    return MODE_AUTH + psk_id_hash + info_hash


class Context:
    """One direction of an encryption context (section 5.2). Either seal with it or open with it, not both."""

    def __init__(self, shared_secret: bytes, info: bytes) -> None:
        """Run KeySchedule (section 5.1) for mode_auth."""
        context = _key_schedule_context(info)
        secret = labeled_extract(HPKE_SUITE_ID, shared_secret, b"secret", b"")
        self._aead = ChaCha20Poly1305(labeled_expand(HPKE_SUITE_ID, secret, b"key", context, KEY_LENGTH))
        nonce = labeled_expand(HPKE_SUITE_ID, secret, b"base_nonce", context, NONCE_LENGTH)
        self._base_nonce = int.from_bytes(nonce, "big")
        self._sequence = 0

    def seal(self, aad: bytes, plaintext: bytes) -> bytes:
        """Return the next ciphertext; raise MessageLimitReachedError."""
        ciphertext = self._aead.encrypt(self._nonce(), plaintext, aad)
        self._sequence += 1
        return ciphertext

    def open(self, aad: bytes, ciphertext: bytes) -> bytes:
        """Return the next plaintext; raise OpenError, which uses up nothing, or MessageLimitReachedError."""
        nonce = self._nonce()
        try:
            plaintext = self._aead.decrypt(nonce, ciphertext, aad)
        except InvalidTag as error:
            raise OpenError("not authentic") from error
        self._sequence += 1
        return plaintext

    def _nonce(self) -> bytes:
        """Return ComputeNonce of the present sequence number."""
        if self._sequence >= (1 << 8 * NONCE_LENGTH) - 1:
            raise MessageLimitReachedError("no sequence number is left")
        return (self._base_nonce ^ self._sequence).to_bytes(NONCE_LENGTH, "big")


def setup_auth_sender(pk_r: bytes, info: bytes, sender: KeyPair, ephemeral: KeyPair) -> tuple[bytes, Context]:
    """Return `enc` and the context to seal with; raise ValidationError (section 5.1.3, SetupAuthS)."""
    secret = auth_encap(ephemeral, pk_r, sender.public, sender.dh(pk_r))
    return ephemeral.public, Context(secret, info)


def setup_auth_recipient(enc: bytes, recipient: KeyPair, info: bytes, pk_s: bytes) -> Context:
    """Return the context to open with; raise ValidationError (section 5.1.3, SetupAuthR)."""
    return Context(auth_decap(enc, recipient, pk_s, recipient.dh(pk_s)), info)
