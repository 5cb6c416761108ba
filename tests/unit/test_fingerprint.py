# SPDX-License-Identifier: MIT
"""The short name of a key."""

from __future__ import annotations

from spale_core.fingerprint import fingerprint


def test_it_is_the_digest_of_the_raw_key():
    """SHA-256 of 32 zero bytes, in base64 without padding."""
    assert fingerprint(bytes(32)) == "SHA256:Zmh6rfhivXdsj8GLjp+OIAiXFIVu4jOzkCpZHQ1fKSU"
