# SPDX-License-Identifier: MIT
"""What this distribution offers besides `plugin`: the scheme ``hpke-v1`` of the original C program's clients.

A plugin of its own, because who does not name it in AUTH should not have it loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spale_core.hookspecs import hookimpl
from spale_core.interfaces import AuthScheme
from spale_crypto_hpke.keys import read_key_file, read_server_keys
from spale_crypto_hpke.requester_v1 import V1Requester

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spale_core.interfaces import Authenticator, Requester


@hookimpl
def spale_register_auth_schemes() -> Sequence[AuthScheme]:
    """Offer version 1 of the datagram."""
    return (AuthScheme("hpke-v1", make_authenticator, make_requester),)


def make_authenticator(server_keys: Sequence[bytes], clients: Sequence[bytes]) -> Authenticator:
    """Return an authenticator for PEM private keys of the server and raw public keys of the clients.

    Raise DataError, saying which key, counted from 1, is bad and why.
    """
    from spale_crypto_hpke.authenticator_v1 import V1Authenticator  # noqa: PLC0415 - clients need none

    return V1Authenticator(read_server_keys(server_keys), clients)


def make_requester(key_file: bytes) -> Requester:
    """Return a requester for the PEM text of a client's key file; raise DataError."""
    server, client = read_key_file(key_file)
    return V1Requester(server, client)
