# SPDX-License-Identifier: MIT
"""SipHash-2-4, the keyed hash that the kernel can afford (Aumasson and Bernstein, 2012; ADR 0020).

Part of the framework because a scheme's `Tag.mac_key` is a promise to the kernel: bytes 8 to 15 of a
datagram are this hash over all that follows. Pure Python, no I/O.
"""

from __future__ import annotations

import struct

KEY_LENGTH = 16
"""Length in bytes of a key: k0 then k1."""

MAC_LENGTH = 8
"""Length in bytes of what `siphash24` returns."""

_MASK = 2**64 - 1
_INITIAL = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
"""The paper's constants: the ASCII bytes of "somepseudorandomlygeneratedbytes", eight at a time."""

_State = tuple[int, int, int, int]


def _rounds(state: _State, count: int) -> _State:
    """Return `state` after `count` SipRounds (figure 2.1 of the paper)."""
    v0, v1, v2, v3 = state
    for _ in range(count):
        v0 = (v0 + v1) & _MASK
        v1 = ((v1 << 13) & _MASK | v1 >> 51) ^ v0
        v0 = (v0 << 32) & _MASK | v0 >> 32
        v2 = (v2 + v3) & _MASK
        v3 = ((v3 << 16) & _MASK | v3 >> 48) ^ v2
        v0 = (v0 + v3) & _MASK
        v3 = ((v3 << 21) & _MASK | v3 >> 43) ^ v0
        v2 = (v2 + v1) & _MASK
        v1 = ((v1 << 17) & _MASK | v1 >> 47) ^ v2
        v2 = (v2 << 32) & _MASK | v2 >> 32
    return v0, v1, v2, v3


def _words(data: bytes) -> tuple[int, ...]:
    """Return `data` as little-endian 64-bit words, the last with the length's low byte on top."""
    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) % 256])
    return struct.unpack(f"<{len(padded) // 8}Q", padded)


def siphash24(key: bytes, data: bytes) -> bytes:
    """Return the 8 bytes of SipHash-2-4 of `data` under the 16 bytes of `key`, least significant first.

    Raise ValueError if `key` has another length. Source: section 2 of the paper.
    """
    if len(key) != KEY_LENGTH:
        raise ValueError(f"a SipHash key has {KEY_LENGTH} bytes, not {len(key)}")
    k0, k1 = struct.unpack("<2Q", key)
    c0, c1, c2, c3 = _INITIAL
    state = (k0 ^ c0, k1 ^ c1, k0 ^ c2, k1 ^ c3)
    for word in _words(data):
        v0, v1, v2, v3 = state
        v0, v1, v2, v3 = _rounds((v0, v1, v2, v3 ^ word), 2)
        state = (v0 ^ word, v1, v2, v3)
    v0, v1, v2, v3 = state
    v0, v1, v2, v3 = _rounds((v0, v1, v2 ^ 0xFF, v3), 4)
    return (v0 ^ v1 ^ v2 ^ v3).to_bytes(MAC_LENGTH, "little")
