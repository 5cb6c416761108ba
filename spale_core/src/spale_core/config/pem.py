# SPDX-License-Identifier: MIT
"""Which key a PEM file holds, judged for the place where it stands; nothing private leaves this module."""

from __future__ import annotations

import re
from binascii import Error, a2b_base64

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from spale_core.config.mistakes import BadValueError

_BEGIN = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,64})-----")
_USUAL = re.compile(rb"-----BEGIN PUBLIC KEY-----\n([A-Za-z0-9+/]{59}=)\n-----END PUBLIC KEY-----\n?")
_X25519 = bytes.fromhex("302a300506032b656e032100")  # what is before the 32 bytes in DER (RFC 8410)
_PUBLIC = b"PUBLIC KEY"
_PRIVATE = b"PRIVATE KEY"
_PRIME = 2**255 - 19

_ORDER_8 = (
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
)
_LOW_ORDER = frozenset((0, 1, *_ORDER_8, _PRIME - 1))
"""The u-coordinates of order 1, 2, 4 and 8 on curve and twist: any multiple of 8 sends them to zero."""


def client_public_key(pem: bytes) -> bytes:
    """Return the 32 bytes of the one public key that a file of the clients' folder must hold.

    Raises BadValueError: another kind of key, a private key, a point that anybody can compute with (RFC 7748
    section 6.1), or one whose 32 bytes are not the shortest form.
    """
    raw = _usual(pem) or _unusual(pem)
    _refuse_useless(raw)
    return raw


def _usual(pem: bytes) -> bytes | None:
    """Return the key in a file as OpenSSL and `spale-keygen` write it, ten times as fast; else None."""
    found = _USUAL.fullmatch(pem)
    if found is None:
        return None
    try:
        der = a2b_base64(found[1], strict_mode=True)
    except Error:
        return None
    return der.removeprefix(_X25519) if der.startswith(_X25519) else None


def _unusual(pem: bytes) -> bytes:
    """Return the key in a file as somebody wrote it; raise BadValueError."""
    labels = _BEGIN.findall(pem)
    if any(label.endswith(_PRIVATE) for label in labels):
        raise BadValueError("holds a private key; only the client may have it: put its public key here")
    if labels != [_PUBLIC]:
        raise BadValueError("does not hold exactly one public key; write one with `openssl pkey -pubout`")
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise BadValueError("holds a damaged public key; write it anew") from None
    if not isinstance(key, X25519PublicKey):
        raise BadValueError("holds a key of another kind; X25519 is needed")
    return key.public_bytes_raw()


def _refuse_useless(raw: bytes) -> None:
    point = int.from_bytes(raw, "little")
    if point >= _PRIME:
        raise BadValueError("holds a public key that is not canonical; write it anew from the private key")
    if point in _LOW_ORDER:
        raise BadValueError("holds a low-order point, with which anybody can knock; make a new pair of keys")


def server_public_key(pem: bytes) -> bytes:
    """Return the public half (32 bytes) of the one private key that a server's key file must hold.

    Raises BadValueError: a public key, another kind, encrypted, damaged.
    """
    labels = _BEGIN.findall(pem)
    right = "name the file that `spale-keygen server` wrote as server.key"
    if labels == [_PUBLIC]:
        raise BadValueError(f"holds a public key; {right}")
    if sorted(labels) == sorted([_PUBLIC, _PRIVATE]):
        raise BadValueError(f"holds two keys, as a client's file does; {right}")
    if any(b"ENCRYPTED" in label for label in labels):
        raise BadValueError("holds an encrypted key; decrypt it with `openssl pkey`")
    if labels != [_PRIVATE]:
        raise BadValueError(f"does not hold exactly one private key; {right}")
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadValueError(f"holds a damaged private key; {right}") from None
    if not isinstance(key, X25519PrivateKey):
        raise BadValueError(f"holds a key of another kind than X25519; {right}")
    return key.public_key().public_bytes_raw()
