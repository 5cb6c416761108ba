# SPDX-License-Identifier: MIT
"""The short name of a public key, for people to compare."""

from __future__ import annotations

import base64
import hashlib


def fingerprint(public_key: bytes) -> str:
    """Return ``SHA256:`` and the unpadded base64 of the SHA-256 over the raw 32 bytes of `public_key`.

    The form is OpenSSH's, over the raw key instead of SSH's encoding of it.
    """
    digest = hashlib.sha256(public_key).digest()
    return "SHA256:" + base64.b64encode(digest).decode("ascii").rstrip("=")
