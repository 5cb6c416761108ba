# SPDX-License-Identifier: MIT
"""What the kernel sees of a knock: a tag, a mac over the rest, and the rest, which need not open."""

from __future__ import annotations

from siphash_reference import siphash24

TAG = bytes.fromhex("5350414c45544147")
MAC_KEY = bytes(range(16))
BODY = bytes((7 * place + 3) % 256 for place in range(112))


def knock(tag: bytes = TAG, mac_key: bytes = MAC_KEY, body: bytes = BODY) -> bytes:
    """Return a datagram that the kernel lets through to the listener."""
    return tag + siphash24(mac_key, body) + body
