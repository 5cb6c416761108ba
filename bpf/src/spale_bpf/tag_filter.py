# SPDX-License-Identifier: MIT
"""The bits of tags, which spare the programs the look-up of a tag that nobody knows (docs/adr/0059).

Several tags may share a bit. User space is the only writer, so what was written is what is there.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from spale_bpf import _abi, codec, libbpf

if TYPE_CHECKING:
    from collections.abc import Collection

    Words = list[int]
    """The values of all entries of the map."""

_BITS = tuple(1 << number for number in range(64))
_LAST_BIT = len(_BITS) - 1
_LAST_WORD = _abi.TAG_FILTER_WORDS - 1


def words_of(tags: Collection[bytes]) -> Words:
    """Return the words with the bits of exactly these tags."""
    words = [0] * _abi.TAG_FILTER_WORDS
    for number in struct.unpack(f"={len(tags)}Q", b"".join(tags)):
        words[number >> 6 & _LAST_WORD] |= _BITS[number & _LAST_BIT]
    return words


def united(one: Words, other: Words) -> Words:
    """Return the words with the bits of both."""
    return [mine | theirs for mine, theirs in zip(one, other, strict=True)]


class TagFilter:
    """A map of bits that is new, and what we have written there."""

    def __init__(self, fd: int) -> None:
        """Begin with no bit."""
        self._fd = fd
        self._held: Words | None = words_of(())  # None: nobody knows

    def become(self, words: Words) -> None:
        """Hold exactly `words`, of which only those that differ are written.

        Raise LibbpfError, with some of them written; call it again then. A bit that stays is there all the
        while, even where a word is not written as one.
        """
        held, self._held = self._held, None
        changed = {at: word for at, word in enumerate(words) if held is None or word != held[at]}
        libbpf.map_update_all(self._fd, codec.filter_words(changed))
        self._held = words
