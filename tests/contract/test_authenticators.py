# SPDX-License-Identifier: MIT
"""Every authentication scheme passes one contract."""

from __future__ import annotations

from spale_core.testing import AuthenticatorContract
from spale_crypto_hpke.authenticator import HpkeAuthenticator
from spale_crypto_hpke.authenticator_v1 import V1Authenticator
from spale_crypto_hpke.requester import HpkeRequester
from spale_crypto_hpke.requester_v1 import V1Requester
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


class TestHpkeV1(AuthenticatorContract):
    """Version 1 of the datagram, the original C program's."""

    server = KeyPair.generate()
    client = KeyPair.generate()
    can_ask = False
    has_mac = False

    def make(self):
        """Return a server of one client, and that client."""
        authenticator = V1Authenticator([self.server], [self.client.public])
        return authenticator, V1Requester(self.server.public, self.client)

    def make_stranger(self):
        """Return somebody who knows the server's key only."""
        return V1Requester(self.server.public, KeyPair.generate())
