# SPDX-License-Identifier: MIT
"""Version 1 of the datagram, that of the original C program's clients: docs/wire-format.md is the page.

Older than RFC 9180 in its key derivation, whose labelled steps are the RFC's under other identifiers and
salts. Only bytes and values. Integers are big-endian.
"""

from __future__ import annotations

import struct
from functools import cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from spale_crypto_hpke.suite import (
    HPKE_SUITE_ID,
    KEY_LENGTH,
    MODE_AUTH,
    NONCE_LENGTH,
    KeyPair,
    OpenError,
    labeled_expand,
    labeled_extract,
)

LENGTH = 97
"""Length in bytes of every datagram."""

STEP_S = 30
"""How long a time step is, in seconds; a datagram says no more of its time."""

SENDER = slice(0, 32)
ENC = slice(32, 64)
CT = slice(64, LENGTH)

TAG_LENGTH = 8
"""How much of the client's public key the kernel knows it by."""

RANDOM_LENGTH = 12
"""Bytes of the plaintext that mean nothing, so that no two are alike."""

_VERSION = 1
_INFO = bytes(6) + b"\x01"
_FORM = struct.Struct(f">BI{RANDOM_LENGTH}s")
_NO_SALT = b""  # to HMAC the same as the 32 zero bytes of wire-format.md


def step_of(unix_ms: int) -> int:
    """Return the time step in which a time in milliseconds since 1970 lies."""
    return unix_ms // (STEP_S * 1000)


def end_unix_ms(step: int) -> int:
    """Return when a time step ends; a datagram's time, as far as it says one."""
    return (step + 1) * STEP_S * 1000


def encode(step: int, random: bytes) -> bytes:
    """Return the 17 bytes that are sealed."""
    return _FORM.pack(_VERSION, step, random)


def decode(raw: bytes) -> int | None:
    """Return the time step that 17 bytes from a client say, or None for another version."""
    version, step, _ = _FORM.unpack(raw)
    return step if version == _VERSION else None


class Context:
    """What seals one datagram, or opens it."""

    def __init__(self, ephemeral: bytes, static: bytes, kem_context: bytes) -> None:
        """Derive key and nonce from DH(sk_r, pk_e), DH(sk_r, pk_s), and enc ‖ pk_r ‖ pk_s."""
        prk = _extract(b"eae_prk", ephemeral + static)
        shared = labeled_expand(HPKE_SUITE_ID, prk, b"shared_secret", kem_context, KEY_LENGTH)
        secret = _extract(b"secret", shared)
        context = _key_schedule_context()
        self._aead = ChaCha20Poly1305(labeled_expand(HPKE_SUITE_ID, secret, b"key", context, KEY_LENGTH))
        self._nonce = labeled_expand(HPKE_SUITE_ID, secret, b"base_nonce", context, NONCE_LENGTH)

    @classmethod
    def of_sender(cls, ephemeral: KeyPair, pk_r: bytes, pk_s: bytes, static: bytes) -> Context:
        """Return the sender's; `static` is DH(sk_s, pk_r). Raise ValidationError."""
        return cls(ephemeral.dh(pk_r), static, ephemeral.public + pk_r + pk_s)

    @classmethod
    def of_recipient(cls, enc: bytes, recipient: KeyPair, pk_s: bytes, static: bytes) -> Context:
        """Return the recipient's; `static` is DH(sk_r, pk_s). Raise ValidationError."""
        return cls(recipient.dh(enc), static, enc + recipient.public + pk_s)

    def seal(self, plaintext: bytes) -> bytes:
        """Return the ciphertext; call it once."""
        return self._aead.encrypt(self._nonce, plaintext, _INFO)

    def open(self, ciphertext: bytes) -> bytes:
        """Return the plaintext; raise OpenError."""
        try:
            return self._aead.decrypt(self._nonce, ciphertext, _INFO)
        except InvalidTag as error:
            raise OpenError("not authentic") from error


def _extract(label: bytes, ikm: bytes) -> bytes:
    return labeled_extract(HPKE_SUITE_ID, _NO_SALT, label, ikm)


@cache
def _key_schedule_context() -> bytes:
    return MODE_AUTH + _extract(b"psk_id_hash", b"") + _extract(b"info_hash", _INFO)
