# SPDX-License-Identifier: MIT
"""What this distribution offers to spale: the authentication scheme ``hpke``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spale_core.errors import DataError
from spale_core.hookspecs import hookimpl
from spale_core.interfaces import AuthScheme
from spale_crypto_hpke.authenticator import HpkeAuthenticator
from spale_crypto_hpke.keys import read_key_file, read_private
from spale_crypto_hpke.requester import HpkeRequester

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spale_core.interfaces import Authenticator, Requester
    from spale_crypto_hpke.suite import KeyPair


@hookimpl
def spale_register_auth_schemes() -> Sequence[AuthScheme]:
    """Offer version 2 of the datagram."""
    return (AuthScheme("hpke", make_authenticator, make_requester),)


def make_authenticator(server_keys: Sequence[bytes], clients: Sequence[bytes]) -> Authenticator:
    """Return an authenticator for PEM private keys of the server and raw public keys of the clients.

    Raise DataError, saying which key, counted from 1, is bad and why.
    """
    pairs = [_server_key(pem, place) for place, pem in enumerate(server_keys, start=1)]
    return HpkeAuthenticator(pairs, clients)


def make_requester(key_file: bytes) -> Requester:
    """Return a requester for the PEM text of a client's key file; raise DataError."""
    server, client = read_key_file(key_file)
    return HpkeRequester(server, client)


def _server_key(pem: bytes, place: int) -> KeyPair:
    try:
        return read_private(pem)
    except DataError as error:
        raise DataError(f"server key {place}: {error}") from error
