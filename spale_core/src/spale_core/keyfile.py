# SPDX-License-Identifier: MIT
"""What a key file is: a private key, a public one, or a client's bundle of both."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from attrs import frozen
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from spale_core.config.mistakes import BadValueError
from spale_core.config.pem import client_public_key
from spale_core.errors import DataError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,64})-----\s.*?-----END \1-----", re.DOTALL)
_BEGIN = b"-----BEGIN "
_PUBLIC = "PUBLIC KEY"
_PRIVATE = "PRIVATE KEY"


class KeyKind(StrEnum):
    """Which keys are in a file."""

    PRIVATE = "private"
    PUBLIC = "public"
    BUNDLE = "bundle"


@frozen
class KeyFile:
    """What is in a key file, but for what is secret.

    `public_key` (32 bytes) is that of the pair that the file is about: of a bundle the client's, and
    `server_key` is the server's.
    """

    kind: KeyKind
    public_key: bytes
    server_key: bytes | None = None


class _Block(NamedTuple):
    label: str
    pem: bytes


def read_key_file(content: bytes) -> KeyFile:
    """Return what a key file is; raise DataError, which says what is wrong with it."""
    blocks = _blocks(content)
    private = [block for block in blocks if block.label == _PRIVATE]
    public = [block for block in blocks if block.label == _PUBLIC]
    others = sorted({block.label for block in blocks} - {_PRIVATE, _PUBLIC})
    if others:
        raise DataError(_other_words(others[0]))
    if len(private) > 1 or len(public) > 1:
        kind, many = ("private", private) if len(private) > 1 else ("public", public)
        raise DataError(f"holds {len(many)} {kind} keys; one is needed")
    if not private:
        return KeyFile(KeyKind.PUBLIC, _public_key(public[0].pem))
    own = _public_half(private[0].pem)
    if not public:
        return KeyFile(KeyKind.PRIVATE, own)
    server = _public_key(public[0].pem)
    if server == own:
        raise DataError(
            "holds both keys of one pair; a bundle has the client's private and the server's public key"
        )
    return KeyFile(KeyKind.BUNDLE, own, server)


def _blocks(content: bytes) -> list[_Block]:
    """Return the PEM blocks, whatever is around them; raise DataError if there is none, or half of one."""
    blocks = [_Block(match[1].decode("ascii"), match[0]) for match in _BLOCK.finditer(content)]
    if len(blocks) != content.count(_BEGIN):
        raise DataError("holds a PEM block that begins and does not end")
    if not blocks:
        raise DataError("is no key file: there is no PEM block (-----BEGIN ...-----) in it")
    return blocks


def _other_words(label: str) -> str:
    if "ENCRYPTED" in label:
        return "holds an encrypted key; decrypt it: openssl pkey -in FILE -out NEWFILE"
    if "OPENSSH" in label:
        return "holds a key of OpenSSH; spale has keys of its own: make one with spale-keygen"
    return f"holds {label.lower()!r}; X25519 keys are needed (BEGIN {_PRIVATE}, BEGIN {_PUBLIC})"


def _public_half(pem: bytes) -> bytes:
    """Return the public key (32 bytes) of a private one; raise DataError."""
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise DataError("holds a private key that is damaged") from None
    if not isinstance(key, X25519PrivateKey):
        raise DataError(_kind_words("private", key))
    return key.public_key().public_bytes_raw()


def _public_key(pem: bytes) -> bytes:
    """Return a public key (32 bytes) that can be used; raise DataError."""
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise DataError("holds a public key that is damaged") from None
    if not isinstance(key, X25519PublicKey):
        raise DataError(_kind_words("public", key))
    try:
        return client_public_key(pem)
    except BadValueError as error:
        raise DataError(str(error)) from None


def _kind_words(half: str, key: PrivateKeyTypes | PublicKeyTypes) -> str:
    kind = type(key).__name__.removesuffix("PrivateKey").removesuffix("PublicKey").strip("_")
    return f"holds a {half} key of the kind {kind}; X25519 is needed"
