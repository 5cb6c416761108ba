# SPDX-License-Identifier: MIT
"""A plugin for tests, ``buggy``: an authenticator with a bug that every knock meets."""

from __future__ import annotations

from spale_core import plugins
from spale_core.hookspecs import hookimpl
from spale_core.interfaces import AuthScheme


class BuggyAuthenticator:
    """HPKE's, until it is asked."""

    def __init__(self, real):
        """Take the real one."""
        self.length = real.length
        self.tags = real.tags

    def authenticate(self, _datagram, _seen):
        """Fail as a plugin may not."""
        raise KeyError


@hookimpl
def spale_register_auth_schemes():
    """Offer it."""
    real = plugins.Plugins(["hpke"]).auth_scheme("hpke")

    def make(keys, clients):
        return BuggyAuthenticator(real.make_authenticator(keys, clients))

    return (AuthScheme("buggy", make, real.make_requester),)
