# SPDX-License-Identifier: MIT
"""Which datagrams of one client key were used: a set of (enc, time), and a mark (wire.md, "Replay memory").

The mark stands for everything that has been forgotten: whatever is not later than it counts as used. It
never falls, so neither a clock that is stepped nor a set that is full lets a datagram in twice.
"""

from __future__ import annotations

from bisect import insort
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MAX_ENTRIES = 1024
"""How many datagrams are remembered per client key."""

MAX_FUTURE = 64
"""How many of them may lie further ahead of the clock than a datagram's time may."""


class ReplayMemory:
    """The used datagrams of one client key; times are ``unix_ms`` of the datagrams."""

    def __init__(
        self,
        max_skew_ms: int,
        *,
        mark_unix_ms: int = 0,
        entries: Iterable[tuple[bytes, int]] = (),
        on_forget: Callable[[bytes], None] | None = None,
    ) -> None:
        """Begin with what a store had: its mark, and the (enc, time) that are later than it.

        ``on_forget(enc)`` is told of each entry that the mark stands for from now on.
        """
        self._max_skew_ms = max_skew_ms
        self._on_forget = on_forget
        self._mark = mark_unix_ms
        self._times = {enc: unix_ms for enc, unix_ms in entries if unix_ms > mark_unix_ms}
        self._by_time = sorted((unix_ms, enc) for enc, unix_ms in self._times.items())

    @property
    def mark_unix_ms(self) -> int:
        """Return the time up to which every datagram counts as used."""
        return self._mark

    def __len__(self) -> int:
        """Return how many datagrams are remembered one by one."""
        return len(self._times)

    def __contains__(self, enc: object) -> bool:
        """Tell whether the datagram is remembered by itself; the mark may stand for others."""
        return enc in self._times

    def __iter__(self) -> Iterator[tuple[bytes, int]]:
        """Yield the (enc, time) that are remembered, oldest first."""
        return ((enc, unix_ms) for unix_ms, enc in self._by_time)

    def remember(self, enc: bytes, unix_ms: int, now_unix_ms: int) -> bool:
        """Record a datagram that has opened: test-and-set. Return False if it is a replay.

        A datagram is recorded whatever its time is, so that one from ahead of the clock cannot be kept by
        somebody else until its time comes.
        """
        self._forget_old(now_unix_ms)
        if unix_ms <= self._mark or enc in self._times:
            return False
        self._times[enc] = unix_ms
        insort(self._by_time, (unix_ms, enc))
        self._forget_surplus(now_unix_ms)
        return True

    def _forget_old(self, now_unix_ms: int) -> None:
        """Forget what is too old to be accepted again: now > time + skew."""
        oldest_good_ms = now_unix_ms - self._max_skew_ms
        if self._by_time and self._by_time[0][0] < oldest_good_ms:
            last = next((t for t, _ in reversed(self._by_time) if t < oldest_good_ms), self._mark)
            self._raise_mark(last)

    def _forget_surplus(self, now_unix_ms: int) -> None:
        """Keep to the two limits; what is forgotten is the oldest, so that the mark rises least."""
        if len(self._by_time) > MAX_ENTRIES:
            self._raise_mark(self._by_time[0][0])
        latest_good_ms = now_unix_ms + self._max_skew_ms
        if len(self._by_time) > MAX_FUTURE and self._by_time[-MAX_FUTURE - 1][0] > latest_good_ms:
            self._raise_mark(self._by_time[-MAX_FUTURE - 1][0])

    def _raise_mark(self, unix_ms: int) -> None:
        """Raise the mark to `unix_ms`, and drop the entries that it now stands for."""
        self._mark = max(self._mark, unix_ms)
        kept = next((i for i, (t, _) in enumerate(self._by_time) if t > self._mark), len(self._by_time))
        for _, enc in self._by_time[:kept]:
            del self._times[enc]
            if self._on_forget is not None:
                self._on_forget(enc)
        del self._by_time[:kept]
