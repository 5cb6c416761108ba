# SPDX-License-Identifier: MIT
"""How much the kernel will hold for a configuration: addresses that fit, and memory, estimated.

The figures are those of spale-bpf's maps on a 64-bit kernel; another dataplane may need other ones.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from attrs import frozen

from spale_core.tagtable import MAX_EPOCHS

if TYPE_CHECKING:
    from spale_core.config.settings import Settings

_PORTS = 65536
_SEEN_MACS = 65536
_TAG_FILTER_WORDS = 16384
_REASONS = 64
_SLOT = 8  # keys and values are rounded up to it
_HASH_ELEMENT = 48
_HASH_BUCKET = 16
_TRIE_NODE = 96
_SCRATCH = 512


@frozen
class Footprint:
    """What fits and what it takes: numbers of entries, and bytes of kernel memory."""

    addresses: int
    tags: int
    v1_tags: int
    kernel_bytes: int


def footprint(settings: Settings) -> Footprint:
    """Return the footprint of `settings`; `addresses` is for clients that may have as much as the largest."""
    per_address = max((len(client.services) for client in settings.clients), default=0)
    tags = MAX_EPOCHS * len(settings.clients) * len(settings.server_keys)
    v1_tags = MAX_EPOCHS * len(settings.v1_clients) * len(settings.server_keys)
    cpus = os.cpu_count() or 1
    kernel_bytes = sum(
        (
            _hash(settings.max_grants, key=20, value=32),
            _hash(settings.max_sessions, key=40, value=24),
            _hash(settings.max_sessions, key=20, value=4),
            _hash(max(tags, 1), key=8, value=32),
            _hash(_SEEN_MACS, key=8, value=1),
            _hash(settings.max_sources, key=16, value=8),
            _hash(max(v1_tags, 1), key=8, value=16),
            _hash(settings.max_sources if v1_tags else 1, key=24, value=8),
            (_PORTS + _TAG_FILTER_WORDS) * _SLOT,
            len(settings.always_allow) * _TRIE_NODE,
            cpus * (_REASONS * _SLOT * 4 + _SCRATCH),
        )
    )
    addresses = settings.max_grants // per_address if per_address else 0
    return Footprint(addresses, tags, v1_tags, kernel_bytes)


def _hash(entries: int, *, key: int, value: int) -> int:
    """Return the bytes of a preallocated hash: its elements, and a power of two of buckets."""
    element = _HASH_ELEMENT + _rounded(key) + _rounded(value)
    return entries * element + (1 << (entries - 1).bit_length()) * _HASH_BUCKET


def _rounded(size: int) -> int:
    return -(-size // _SLOT) * _SLOT
