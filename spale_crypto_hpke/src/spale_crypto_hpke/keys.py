# SPDX-License-Identifier: MIT
"""X25519 keys in PEM, as OpenSSL writes and reads them, and which of them are no keys to use.

The one DER form of each kind (RFC 8410) is taken apart here: `cryptography`'s loader costs a client some 20
ms to import, so it is asked only about what looks otherwise, to accept it or to say what it is instead.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING

from spale_core.errors import DataError
from spale_crypto_hpke.suite import KEY_LENGTH, KeyPair, ValidationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

PUBLIC_LABEL = "PUBLIC KEY"
PRIVATE_LABEL = "PRIVATE KEY"

_PUBLIC_DER = bytes.fromhex("302a300506032b656e032100")
_PRIVATE_DER = bytes.fromhex("302e020100300506032b656e04220420")
_PRIME = 2**255 - 19
_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s(.*?)-----END \1-----", re.DOTALL)
_LINE_LENGTH = 64


def read_private(pem: bytes) -> KeyPair:
    """Return the one private key in `pem`; raise DataError, saying what is there instead."""
    return _private(_only(_blocks(pem), PRIVATE_LABEL))


def read_server_keys(pems: Sequence[bytes]) -> list[KeyPair]:
    """Return the server's private keys; raise DataError, saying which, counted from 1, is bad and why."""
    pairs = []
    for place, pem in enumerate(pems, start=1):
        try:
            pairs.append(read_private(pem))
        except DataError as error:
            raise DataError(f"server key {place}: {error}") from error
    return pairs


def read_public(pem: bytes) -> bytes:
    """Return the one public key in `pem` as 32 bytes; raise DataError, saying what is there instead."""
    return _public(_only(_blocks(pem), PUBLIC_LABEL))


def read_key_file(pem: bytes) -> tuple[bytes, KeyPair]:
    """Return the server's public and the client's private key from a client's key file, in either order.

    Raise DataError if one is missing, there twice, of another kind, or if both are of one pair.
    """
    blocks = _blocks(pem)
    server, client = _public(_only(blocks, PUBLIC_LABEL)), _private(_only(blocks, PRIVATE_LABEL))
    check_public(server)
    if server == client.public:
        raise DataError("the public key belongs to the private key; the server's public key is needed")
    return server, client


def write_private(private: bytes) -> bytes:
    """Return 32 bytes of a private key as PEM (PKCS #8)."""
    return _pem(PRIVATE_LABEL, _PRIVATE_DER + private)


def write_public(public: bytes) -> bytes:
    """Return 32 bytes of a public key as PEM (SubjectPublicKeyInfo)."""
    return _pem(PUBLIC_LABEL, _PUBLIC_DER + public)


def check_public(public: bytes) -> None:
    """Raise DataError for 32 bytes that are no public key to use: non-canonical, or a low-order point."""
    check_form(public)
    agree(KeyPair.from_raw(bytes(KEY_LENGTH)), public)


def agree(private: KeyPair, public: bytes) -> bytes:
    """Return the two keys' X25519; raise DataError for a low-order point.

    Every X25519 scalar is a multiple of 8, so any one of them sends exactly the low-order points to zero.
    """
    try:
        return private.dh(public)
    except ValidationError as error:
        raise DataError(
            "the public key is a low-order point; anybody could compute what is sealed"
        ) from error


def check_form(public: bytes) -> None:
    """Raise DataError for bytes that are not the one form of a public key: 32 of them, canonical."""
    if len(public) != KEY_LENGTH:
        raise DataError(f"a public key has {KEY_LENGTH} bytes, not {len(public)}")
    if int.from_bytes(public, "little") >= _PRIME:
        raise DataError(
            "the public key is not in canonical form (2^255 - 19 or more, or the highest bit set)"
        )


def check_server_keys(server_keys: Sequence[KeyPair]) -> None:
    """Raise DataError unless there are server keys, each another one."""
    if not server_keys:
        raise DataError("no server key")
    if len({pair.public for pair in server_keys}) != len(server_keys):
        raise DataError("two server keys are the same")


def check_clients(clients: Sequence[bytes], server_keys: Sequence[KeyPair]) -> None:
    """Raise DataError with the place, counted from 1, of a client key that must not be used.

    Whether it is a low-order point shows when its half of the agreement is computed: that takes long enough.
    """
    servers = {pair.public for pair in server_keys}
    places: dict[bytes, int] = {}
    for place, public in enumerate(clients, start=1):
        try:
            check_form(public)
        except DataError as error:
            raise DataError(f"client key {place}: {error}") from error
        if public in servers:
            raise DataError(f"client key {place}: this is the server's own key")
        if public in places:
            raise DataError(f"client key {place}: the same key as client key {places[public]}")
        places[public] = place


def _blocks(pem: bytes) -> list[tuple[str, bytes]]:
    """Return label and DER of every PEM block; text around them is no matter."""
    found = [(match[1].decode(), _der(match[2])) for match in _BLOCK.finditer(pem)]
    if len(found) != pem.count(b"-----BEGIN "):
        raise DataError("a PEM block begins that does not end")
    if not found:
        raise DataError("no PEM block (-----BEGIN ...-----) in it")
    return found


def _der(body: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error as error:
        # Also the headers of the old encrypted form ("Proc-Type: ...") end here.
        raise DataError("a PEM block that is damaged, or encrypted in the old form") from error


def _only(blocks: list[tuple[str, bytes]], label: str) -> bytes:
    """Return the DER of the only block with `label`; raise DataError."""
    ours = [der for found, der in blocks if found == label]
    if len(ours) == 1:
        return ours[0]
    kind = label.split(maxsplit=1)[0].lower()
    if ours:
        raise DataError(f"{len(ours)} {kind} keys; one is needed")
    others = ", ".join(sorted({found for found, _ in blocks}))
    hint = "; decrypt it: openssl pkey -in FILE -out NEWFILE" if "ENCRYPTED" in others else ""
    raise DataError(f"no {kind} key (-----BEGIN {label}-----) in it, only {others}{hint}")


def _private(der: bytes) -> KeyPair:
    if der.startswith(_PRIVATE_DER) and len(der) == len(_PRIVATE_DER) + KEY_LENGTH:
        return KeyPair.from_raw(der[-KEY_LENGTH:])
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - only for unusual keys
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives.serialization import load_der_private_key  # noqa: PLC0415 - see above

    try:
        key = load_der_private_key(der, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise DataError(
            "the private key is damaged, or written in an unusual form; openssl pkey may rewrite it"
        ) from error
    if not isinstance(key, X25519PrivateKey):
        raise DataError(_other_kind("private", key))
    return KeyPair.from_raw(key.private_bytes_raw())


def _public(der: bytes) -> bytes:
    if der.startswith(_PUBLIC_DER) and len(der) == len(_PUBLIC_DER) + KEY_LENGTH:
        return der[-KEY_LENGTH:]
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - only for unusual keys
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives.serialization import load_der_public_key  # noqa: PLC0415 - see above

    try:
        key = load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise DataError(
            "the public key is damaged, or written in an unusual form; openssl pkey may rewrite it"
        ) from error
    if not isinstance(key, X25519PublicKey):
        raise DataError(_other_kind("public", key))
    return key.public_bytes_raw()


def _other_kind(half: str, key: PrivateKeyTypes | PublicKeyTypes) -> str:
    kind = type(key).__name__.removesuffix("PrivateKey").removesuffix("PublicKey").strip("_")
    return f"the {half} key is of the kind {kind}; X25519 is needed"


def _pem(label: str, der: bytes) -> bytes:
    body = base64.b64encode(der)
    lines = [body[start : start + _LINE_LENGTH] for start in range(0, len(body), _LINE_LENGTH)]
    begin, end = (f"-----{edge} {label}-----".encode() for edge in ("BEGIN", "END"))
    return b"\n".join([begin, *lines, end, b""])
