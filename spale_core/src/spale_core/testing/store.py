# SPDX-License-Identifier: MIT
"""What every grant store promises while it is open."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve

from spale_core.interfaces import StoreSettings
from spale_core.model import NEVER_NS, Holding
from spale_core.testing.dataplane import a_grant
from spale_core.testing.promise import holds, raises, same

if TYPE_CHECKING:
    from spale_core.interfaces import GrantStore

_KEY, _OTHER_KEY = bytes([1] * 32), bytes([2] * 32)
_ENC, _OTHER_ENC = bytes([3] * 32), bytes([4] * 32)
_NOW_MS = 1_700_000_000_000
_SKEW_MS = 30_000


class _CancelledError(Exception):
    """What a test raises inside a transaction."""


class GrantStoreContract:
    """Derive from this, and say in `make` how your store is opened.

    `state_dir` is a folder that is empty at the start of each test; a store that needs none leaves it.
    """

    state_dir = Path("/nonexistent")

    def make(self, settings: StoreSettings) -> GrantStore:
        """Return a store that is new."""
        raise NotImplementedError

    def test_a_new_one_is_empty(self) -> None:
        """Nobody holds anything, and no datagram is known."""
        with closing(self._open()) as store:
            same((list(store.live()), list(store.identities())), ([], []), "a new store is empty")

    def test_holdings_are_kept_per_client(self) -> None:
        """Two clients hold the same source and service beside each other; the latest of one replaces."""
        mine, yours = Holding("alice", a_grant()), Holding("bob", a_grant())
        with closing(self._open()) as store:
            with store.transaction():
                store.put(mine)
                store.put(yours)
                store.put(mine)
            same(_by_client(store), {"alice": mine, "bob": yours}, "one holding per client and pair")
            with store.transaction():
                for _ in range(2):
                    store.delete("alice", mine.grant.source, mine.grant.service)
            same(_by_client(store), {"bob": yours}, "deleting is exact, and idempotent")

    def test_a_transaction_that_raises_keeps_no_holding(self) -> None:
        """After an error all holdings are as before."""
        before = Holding("alice", a_grant())

        def fail() -> None:
            with store.transaction():
                store.put(Holding("bob", a_grant()))
                store.delete("alice", before.grant.source, before.grant.service)
                raise _CancelledError

        with closing(self._open()) as store:
            with store.transaction():
                store.put(before)
            raises(_CancelledError, fail, "a transaction hands errors on")
            same(_by_client(store), {"alice": before}, "a transaction that raises changes no holding")

    def test_a_datagram_counts_once(self) -> None:
        """`remember` is test-and-set, per client key."""
        with closing(self._open()) as store, store.transaction():
            holds(store.remember(_KEY, _ENC, _NOW_MS, _NOW_MS), "a new datagram is no replay")
            holds(not store.remember(_KEY, _ENC, _NOW_MS, _NOW_MS), "the same enc is a replay")
            holds(not store.remember(_KEY, _ENC, _NOW_MS + 1, _NOW_MS), "whatever time it says")
            holds(store.remember(_OTHER_KEY, _ENC, _NOW_MS, _NOW_MS), "keys have memories of their own")
            holds(store.remember(_KEY, _OTHER_ENC, _NOW_MS, _NOW_MS), "another enc at that time is none")
            same(set(store.identities()), {_ENC, _OTHER_ENC}, "identities() has what is remembered")

    def test_what_is_forgotten_stays_refused(self) -> None:
        """Forgetting raises the mark, and a clock that is stepped back does not lower it."""
        with closing(self._open()) as store, store.transaction():
            store.remember(_KEY, _ENC, _NOW_MS, _NOW_MS)
            later_ms = _NOW_MS + _SKEW_MS + 1
            holds(store.remember(_KEY, _OTHER_ENC, later_ms, later_ms), "a later datagram is no replay")
            same(set(store.identities()), {_OTHER_ENC}, "an old datagram is forgotten")
            for enc in (_ENC, bytes(32)):
                holds(not store.remember(_KEY, enc, _NOW_MS, _NOW_MS), "nothing up to the mark is taken")

    def test_a_datagram_from_ahead_is_remembered(self) -> None:
        """One that lies ahead of the clock cannot be kept until its time comes."""
        ahead_ms = _NOW_MS + 3_600_000
        with closing(self._open()) as store, store.transaction():
            store.remember(_KEY, _ENC, ahead_ms, _NOW_MS)
            holds(not store.remember(_KEY, _ENC, ahead_ms, ahead_ms), "its time has come, and it is known")

    def test_it_says_whether_its_memory_is_lost(self) -> None:
        """A new store knows of no earlier daemon."""
        with closing(self._open()) as store:
            holds(store.memory_lost is True, "a store that begins empty has lost its memory")

    def test_it_says_when_its_memory_was_lost(self) -> None:
        """A new store lost it at this start, or cannot tell."""
        with closing(self._open()) as store:
            holds(isinstance(store.lost_unix_ms, int) and store.lost_unix_ms >= 0, "a time, or 0")

    def _open(self) -> GrantStore:
        return self.make(StoreSettings(self.state_dir, _SKEW_MS // 1000))


class DurableStoreContract(GrantStoreContract):
    """What a store that survives a restart promises beyond that; `make` opens it again, too."""

    def test_holdings_come_back(self) -> None:
        """In the same boot exactly as they were; what was deleted does not."""
        kept = Holding("alice", a_grant())
        endless = Holding("bob", evolve(a_grant(), idle_ns=NEVER_NS, grace_ns=NEVER_NS, end_ns=NEVER_NS))
        with closing(self._open()) as store, store.transaction():
            for holding in (kept, endless, Holding("carol", a_grant())):
                store.put(holding)
            store.delete("carol", kept.grant.source, kept.grant.service)
        with closing(self._open()) as store:
            same(_by_client(store), {"alice": kept, "bob": endless}, "what was held is held after a restart")

    def test_used_datagrams_stay_used(self) -> None:
        """A restart loses neither the set nor the mark."""
        later_ms = _NOW_MS + _SKEW_MS + 1
        with closing(self._open()) as store, store.transaction():
            store.remember(_KEY, _ENC, _NOW_MS, _NOW_MS)
            store.remember(_KEY, _OTHER_ENC, later_ms, later_ms)
        with closing(self._open()) as store, store.transaction():
            same(set(store.identities()), {_OTHER_ENC}, "identities() has what is remembered")
            holds(not store.remember(_KEY, _OTHER_ENC, later_ms, later_ms), "a known enc is a replay")
            holds(not store.remember(_KEY, bytes(32), _NOW_MS, _NOW_MS), "nothing up to the mark is taken")
            holds(store.remember(_OTHER_KEY, _ENC, _NOW_MS, _NOW_MS), "another key has lost nothing")

    def test_a_memory_that_was_kept_is_not_lost(self) -> None:
        """Only the first start has lost it, and the second one knows when that was."""
        with closing(self._open()) as store:
            lost_unix_ms = store.lost_unix_ms
        with closing(self._open()) as store:
            same((store.memory_lost, store.lost_unix_ms), (False, lost_unix_ms), "a restart loses nothing")


def _by_client(store: GrantStore) -> dict[str, Holding]:
    return {holding.client: holding for holding in store.live()}
