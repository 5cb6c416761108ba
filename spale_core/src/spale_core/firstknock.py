# SPDX-License-Identifier: MIT
"""A knock of nobody's, before the first real one: what it needs is then loaded, and no file is wanted later.

The listener does this while it can still open files (docs/adr/0100-what-the-listener-may-call.md).
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from spale_core.log import quote
from spale_core.model import EPOCH_S, Datagram, Source

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spale_core.interfaces import AuthScheme

_NOBODY: Final = Source(ip_address("192.0.2.1"))  # RFC 5737: an address that is nobody's
_SOME_PORT: Final = 40000


def rehearse(schemes: Iterable[AuthScheme], unix_ms: int) -> list[Exception]:
    """Make and open a datagram by each of `schemes`, with keys that nobody has; return what failed.

    A failure is no reason not to start: real knocks tell.
    """
    failures: list[Exception] = []
    for scheme in schemes:
        try:
            _knock(scheme, unix_ms)
        except Exception as error:  # noqa: BLE001 - a plugin's bug: one for each is all there can be
            failures.append(error)
    # How a line of the log is escaped is loaded at its first use.
    quote("\n")
    return failures


def _knock(scheme: AuthScheme, unix_ms: int) -> None:
    server, client = X25519PrivateKey.generate(), X25519PrivateKey.generate()
    authenticator = scheme.make_authenticator([_private(server)], [client.public_key().public_bytes_raw()])
    payload = scheme.make_requester(_public(server) + _private(client)).seal(unix_ms=unix_ms)
    tuple(authenticator.tags(unix_ms // 1000 // EPOCH_S))
    authenticator.authenticate(Datagram(payload, _NOBODY, _SOME_PORT, 0), frozenset())


def _private(key: X25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _public(key: X25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
