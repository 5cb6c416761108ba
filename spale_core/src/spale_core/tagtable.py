# SPDX-License-Identifier: MIT
"""The tags that the kernel should know, from what the listener sends (spec.md, "Processes")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, evolve, field

from spale_core import epochs
from spale_core.ipc import IpcError

if TYPE_CHECKING:
    from collections.abc import Collection

    from spale_core.ipc import TagBatch
    from spale_core.model import KernelTag, Moment, Tag

MAX_EPOCHS = 12
"""Tags at most per client and server key: now ± 120 s of skew and the next, and some to spare."""

_STEP_NS = 250_000_000
"""A wall clock that moved this much against CLOCK_MONOTONIC was stepped."""


@define
class _Epoch:
    """The tags of an epoch, and what they are in the kernel's time."""

    tags: list[Tag]
    _offset_ns: int | None = None
    _in_kernel: list[KernelTag] = field(factory=list)

    def at(self, offset_ns: int, max_skew_s: int) -> list[KernelTag]:
        """Return what they are where the wall clock is so far ahead.

        A clock that is slewed, by 0.5 ms per second at most, moves nothing: that would be every tag, every
        half minute.
        """
        if self._offset_ns is None or abs(offset_ns - self._offset_ns) > _STEP_NS:
            self._offset_ns = offset_ns
            self._in_kernel = [epochs.kernel_tag(tag, offset_ns, max_skew_s) for tag in self.tags]
        return self._in_kernel


class TagTable:
    """Collects batches into whole epochs and turns those into kernel tags.

    It keeps the last epochs that came, as many as the listener believes to have told (`epochs.most`), wanted
    or not: the two processes need not see each step of the clock alike.
    """

    def __init__(
        self, clients: int, server_keys: int, max_skew_s: int, v1_clients: Collection[int] = ()
    ) -> None:
        """Begin with no tags, for that many configured clients and server keys.

        `v1_clients` are those whose datagrams have no mac.
        """
        self._clients = clients
        self._server_keys = server_keys
        self._max_skew_s = max_skew_s
        self._v1_clients = frozenset(v1_clients)
        self._open: tuple[int, dict[tuple[int, int], Tag]] | None = None
        self._epochs: dict[int, _Epoch] = {}
        self._offset_ns: int | None = None
        self._changed = False

    def restart(self) -> None:
        """Forget the epoch that a listener which is gone has left unfinished."""
        self._open = None

    def add(self, batch: TagBatch) -> None:
        """Take a batch in; raise IpcError for tags that no listener of ours would send."""
        epoch, tags = self._open or (batch.epoch, {})
        if epoch != batch.epoch:
            raise IpcError("tags of an epoch before the last one was complete")
        for tag in batch.tags:
            self._check(tag, tags)
            tags[tag.client, tag.server_key] = tag
        self._open = (epoch, tags)
        if batch.last:
            self._open = None
            self._complete(epoch, list(tags.values()))

    def is_stale(self, now: Moment) -> bool:
        """Tell whether the kernel should be given the tags anew: new ones, or the clock was stepped."""
        if self._offset_ns is None or abs(epochs.wall_offset_ns(now) - self._offset_ns) > _STEP_NS:
            return True
        return self._changed

    def kernel_tags(self, now: Moment) -> list[KernelTag]:
        """Return the tags as the kernel must have them now; `is_stale` is then False until something changes.

        Those with a mac are the very same objects as before where nothing has changed. Of two clients' equal
        ones the first is kept: one map entry cannot hold two mac keys (one in 2^64). A tag without a mac is
        the same in every epoch, and so valid in all of them.
        """
        self._offset_ns = epochs.wall_offset_ns(now)
        self._changed = False
        wanted = epochs.wanted(now.unix_ms, self._max_skew_s)
        unique: dict[bytes, KernelTag] = {}
        v1: dict[bytes, KernelTag] = {}
        for number, epoch in self._epochs.items():
            if number in wanted:
                for tag in epoch.at(self._offset_ns, self._max_skew_s):
                    if tag.mac_key:
                        unique.setdefault(tag.tag, tag)
                    else:
                        v1[tag.tag] = _together(v1.get(tag.tag, tag), tag)
        return [*unique.values(), *v1.values()]

    def _check(self, tag: Tag, known: dict[tuple[int, int], Tag]) -> None:
        if tag.client >= self._clients or tag.server_key >= self._server_keys:
            raise IpcError("a tag of a client or server key that is not configured")
        if bool(tag.mac_key) == (tag.client in self._v1_clients):
            raise IpcError("a tag without a mac, or with one, of a client who uses the other version")
        if (tag.client, tag.server_key) in known:
            raise IpcError("a second tag of one client, server key and epoch")

    def _complete(self, epoch: int, tags: list[Tag]) -> None:
        known = self._epochs.pop(epoch, None)
        if known is None or known.tags != tags:
            known = _Epoch(tags)
            self._changed = True
        self._epochs[epoch] = known
        if len(self._epochs) > epochs.most(self._max_skew_s):
            del self._epochs[next(iter(self._epochs))]


def _together(one: KernelTag, other: KernelTag) -> KernelTag:
    """Return one of two equal tags, valid when either is; their epochs overlap."""
    return evolve(
        one,
        not_before_ns=min(one.not_before_ns, other.not_before_ns),
        not_after_ns=max(one.not_after_ns, other.not_after_ns),
    )
