# SPDX-License-Identifier: MIT
"""The map of tags, of which there may be a hundred thousand, and their bits: only what changed is written.

User space is its only writer, so what was written is what is there.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from spale_bpf import codec, libbpf
from spale_bpf.tag_filter import TagFilter, united, words_of
from spale_core.errors import DataplaneError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spale_core.model import KernelTag

_FULL = (errno.E2BIG, errno.ENOMEM)


class TagMap:
    """A map of tags and one of their bits that are new, and what we have written there."""

    def __init__(self, fd: int, filter_fd: int) -> None:
        """Begin with none."""
        self._fd = fd
        self._filter = TagFilter(filter_fd)
        self._held: dict[bytes, KernelTag] = {}
        self._words = words_of(())

    def become(self, tags: Iterable[KernelTag]) -> None:
        """Hold exactly `tags`: adds first, then removes, or changes nothing and raises DataplaneError.

        No tag is ever without its bit.
        """
        wanted = {tag.tag: tag for tag in tags}
        held = self._held
        # Most are the very same objects as before, which is quicker to see than that they are equal.
        changed = [tag for key, tag in wanted.items() if held.get(key) is not tag]
        gone = [key for key in held if key not in wanted]
        if not changed and not gone:
            return
        words = self._words if wanted.keys() == held.keys() else words_of(wanted)
        both = united(self._words, words)
        try:
            self._filter.become(both)
            self._write(changed)
            libbpf.map_delete_all(self._fd, gone)
            self._filter.become(words)
        except libbpf.LibbpfError as error:
            self._filter.become(both)
            libbpf.map_delete_all(self._fd, [tag.tag for tag in changed if tag.tag not in held])
            self._write([held[key] for key in (*gone, *(tag.tag for tag in changed)) if key in held])
            self._filter.become(self._words)
            if error.number in _FULL:
                raise DataplaneError("the map spale_tags is full") from error
            raise
        self._held, self._words = wanted, words

    def _write(self, tags: Iterable[KernelTag]) -> None:
        libbpf.map_update_all(self._fd, {tag.tag: codec.tag_value(tag) for tag in tags})
