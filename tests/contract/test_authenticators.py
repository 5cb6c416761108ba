# SPDX-License-Identifier: MIT
"""Every authentication scheme passes one contract."""

from __future__ import annotations

from spale_core.testing import AuthenticatorContract
from spale_crypto_hpke.authenticator import HpkeAuthenticator
from spale_crypto_hpke.requester import HpkeRequester
from spale_crypto_hpke.suite import KeyPair


class TestHpke(AuthenticatorContract):
    """Version 2 of the datagram."""

    server = KeyPair.generate()
    client = KeyPair.generate()

    def make(self):
        """Return a server of one client, and that client."""
        authenticator = HpkeAuthenticator([self.server], [self.client.public])
        return authenticator, HpkeRequester(self.server.public, self.client)

    def make_stranger(self):
        """Return somebody who knows the server's key only."""
        return HpkeRequester(self.server.public, KeyPair.generate())
