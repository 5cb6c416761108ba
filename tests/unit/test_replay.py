# SPDX-License-Identifier: MIT
"""Replay memory, case by case (wire.md, "Replay memory")."""

from __future__ import annotations

import pytest

from spale_core.replay import MAX_ENTRIES, MAX_FUTURE, ReplayMemory

SKEW = 30_000
NOW = 1_700_000_000_000


def enc(number):
    """Return a replay identity."""
    return number.to_bytes(32)


@pytest.fixture
def memory():
    """Return an empty memory."""
    return ReplayMemory(SKEW)


def test_the_first_copy_counts_and_no_other(memory):
    """An `enc` in the set is a replay, whatever time it says."""
    assert memory.remember(enc(1), NOW, NOW)
    assert not memory.remember(enc(1), NOW, NOW)
    assert not memory.remember(enc(1), NOW + 5000, NOW)


def test_order_does_not_matter_within_the_window(memory):
    """A datagram that was overtaken by a later one is no replay."""
    assert memory.remember(enc(1), NOW + 2000, NOW)
    assert memory.remember(enc(2), NOW + 1000, NOW)


def test_an_entry_is_kept_until_it_could_not_be_accepted_any_more(memory):
    """Forgotten when now > time + skew, not a millisecond before."""
    memory.remember(enc(1), NOW, NOW)
    assert memory.remember(enc(2), NOW + SKEW, NOW + SKEW)
    assert len(memory) == 2
    assert memory.mark_unix_ms == 0
    assert memory.remember(enc(3), NOW + SKEW, NOW + SKEW + 1)
    assert memory.mark_unix_ms == NOW
    assert dict(memory) == {enc(2): NOW + SKEW, enc(3): NOW + SKEW}


def test_at_or_below_the_mark_is_a_replay():
    """The mark stands for all that was forgotten, its own time included."""
    memory = ReplayMemory(SKEW, mark_unix_ms=NOW)
    assert not memory.remember(enc(1), NOW, NOW)
    assert not memory.remember(enc(1), NOW - 1, NOW)
    assert memory.remember(enc(1), NOW + 1, NOW)


def test_a_clock_stepped_back_opens_nothing(memory):
    """What was forgotten stays refused when its time comes again."""
    memory.remember(enc(1), NOW, NOW)
    memory.remember(enc(2), NOW + 3_600_000, NOW + 3_600_000)
    assert not memory.remember(enc(1), NOW, NOW)
    assert memory.mark_unix_ms == NOW


def test_a_full_set_forgets_its_oldest(memory):
    """The 1,025th raises the mark to the first one's time, and forgets nothing else."""
    for number in range(MAX_ENTRIES + 1):
        assert memory.remember(enc(number), NOW + number, NOW)
    assert len(memory) == MAX_ENTRIES
    assert memory.mark_unix_ms == NOW
    assert not memory.remember(enc(0), NOW, NOW)


def test_an_overtaken_one_in_a_full_set_is_taken_once(memory):
    """If the newcomer is itself the oldest, the mark stands for it at once."""
    for number in range(MAX_ENTRIES):
        memory.remember(enc(number), NOW + 10 + number, NOW)
    assert memory.remember(enc(9999), NOW, NOW)
    assert not memory.remember(enc(9999), NOW, NOW)
    assert len(memory) == MAX_ENTRIES


def test_one_from_ahead_is_remembered_until_its_time(memory):
    """Whoever keeps it until the clock reaches it has a replay in his hands."""
    ahead = NOW + 3_600_000
    memory.remember(enc(1), ahead, NOW)
    assert not memory.remember(enc(1), ahead, ahead)
    assert not memory.remember(enc(1), ahead, ahead + SKEW)


def test_at_most_64_from_ahead(memory):
    """The 65th raises the mark to the nearest one's time: none of them is ever accepted."""
    times = [NOW + SKEW + 1 + number for number in range(MAX_FUTURE + 1)]
    for number, unix_ms in enumerate(times):
        assert memory.remember(enc(number), unix_ms, NOW)
    assert len(memory) == MAX_FUTURE
    assert memory.mark_unix_ms == times[0]
    assert not any(memory.remember(enc(number), unix_ms, unix_ms) for number, unix_ms in enumerate(times))


def test_those_within_the_window_do_not_count_as_ahead(memory):
    """A busy client with a good clock keeps all its 1,024 entries."""
    for number in range(MAX_FUTURE + 10):
        memory.remember(enc(number), NOW + SKEW, NOW)
    assert len(memory) == MAX_FUTURE + 10
    assert memory.mark_unix_ms == 0


def test_what_a_store_kept_is_known_again():
    """A memory made from mark and entries goes on where the other one was."""
    before = ReplayMemory(SKEW)
    before.remember(enc(1), NOW, NOW)
    before.remember(enc(2), NOW + SKEW + 1, NOW + SKEW + 1)
    after = ReplayMemory(SKEW, mark_unix_ms=before.mark_unix_ms, entries=before)
    assert list(after) == list(before)
    assert not after.remember(enc(1), NOW, NOW)
    assert not after.remember(enc(2), NOW + SKEW + 1, NOW)
