# SPDX-License-Identifier: MIT
"""Whatever the clock does and whatever comes: no datagram counts twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spale_core.replay import MAX_ENTRIES, MAX_FUTURE, ReplayMemory

SKEW = 30_000
TIMES = st.integers(0, 400_000)
COMING = st.lists(st.tuples(st.integers(0, 40), TIMES, TIMES), max_size=150)


@given(COMING)
def test_no_datagram_counts_twice(coming):
    """A second copy is refused at any time, also after the clock was stepped back."""
    memory = ReplayMemory(SKEW)
    used = set()
    for number, unix_ms, now in coming:
        datagram = (bytes([number]), unix_ms)
        if memory.remember(*datagram, now):
            assert datagram not in used
            used.add(datagram)


@given(COMING)
def test_the_mark_never_falls(coming):
    """And every entry is later than it."""
    memory = ReplayMemory(SKEW)
    for number, unix_ms, now in coming:
        before = memory.mark_unix_ms
        memory.remember(bytes([number]), unix_ms, now)
        assert memory.mark_unix_ms >= before
        assert all(entry_ms > memory.mark_unix_ms for _, entry_ms in memory)


@given(COMING)
def test_nothing_is_forgotten_before_it_is_too_old(coming):
    """With fewer entries than the limits, the mark is at most what no clock so far would accept."""
    memory = ReplayMemory(SKEW)
    latest = 0
    for number, unix_ms, now in coming[:MAX_FUTURE]:
        latest = max(latest, now)
        memory.remember(bytes([number]), unix_ms, now)
        assert memory.mark_unix_ms <= max(0, latest - SKEW)


@given(st.integers(MAX_ENTRIES - 5, MAX_ENTRIES + 40), st.integers(1, 3), st.randoms(use_true_random=False))
def test_the_limits_hold(count, step, random):
    """However many come, at most 1,024 are kept, and all of them stay refused."""
    memory = ReplayMemory(SKEW)
    times = [100_000 + step * number for number in range(count)]
    random.shuffle(times)
    datagrams = [(number.to_bytes(4), unix_ms) for number, unix_ms in enumerate(times)]
    for datagram in datagrams:
        memory.remember(*datagram, 100_000)
        assert len(memory) <= MAX_ENTRIES
    assert not any(memory.remember(*datagram, 100_000) for datagram in datagrams)
