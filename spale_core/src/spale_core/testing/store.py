# SPDX-License-Identifier: MIT
"""What every grant store promises while it is open."""

from __future__ import annotations

from contextlib import closing
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve

from spale_core.interfaces import StoreSettings
from spale_core.model import NEVER_NS, Holding, Tenure
from spale_core.testing.dataplane import a_grant
from spale_core.testing.promise import holds, raises, same

if TYPE_CHECKING:
    from spale_core.interfaces import GrantStore

_KEY, _OTHER_KEY = bytes([1] * 32), bytes([2] * 32)
_ENC, _OTHER_ENC = bytes([3] * 32), bytes([4] * 32)
_NOW_MS = 1_700_000_000_000
_SKEW_MS = 30_000
_PREFIXES = [ip_network("192.0.2.0/24"), ip_network("192.0.2.0/32"), ip_network("2001:db8::/32")]


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

    def test_tenures_are_kept_per_client(self) -> None:
        """Beside holdings, and apart from them: who held a pair and when, the latest word counts."""
        mine, yours = a_tenure("alice"), a_tenure("bob", (1, 2), (5, NEVER_NS))
        with closing(self._open()) as store:
            with store.transaction():
                store.put_tenure(a_tenure("alice", (7, 8)))
                store.put_tenure(mine)
                store.put_tenure(yours)
                store.delete("alice", mine.source, mine.service)
            same(_tenures(store), {"alice": mine, "bob": yours}, "one tenure per client and pair")
            with store.transaction():
                for _ in range(2):
                    store.delete_tenure("alice", mine.source, mine.service)
            same(_tenures(store), {"bob": yours}, "deleting is exact, and idempotent")

    def test_a_transaction_that_raises_keeps_nothing_held(self) -> None:
        """After an error all holdings and tenures are as before."""
        before, tenure = Holding("alice", a_grant()), a_tenure("alice")

        def fail() -> None:
            with store.transaction():
                store.put(Holding("bob", a_grant()))
                store.put_tenure(a_tenure("bob"))
                store.delete("alice", tenure.source, tenure.service)
                store.delete_tenure("alice", tenure.source, tenure.service)
                raise _CancelledError

        with closing(self._open()) as store:
            with store.transaction():
                store.put(before)
                store.put_tenure(tenure)
            raises(_CancelledError, fail, "a transaction hands errors on")
            same(_by_client(store), {"alice": before}, "a transaction that raises changes no holding")
            same(_tenures(store), {"alice": tenure}, "a transaction that raises changes no tenure")

    def test_allowed_prefixes_are_kept(self) -> None:
        """They are a set, beside holdings: once each, of both families, told apart by their length too."""
        with closing(self._open()) as store:
            with store.transaction():
                for prefix in (*_PREFIXES, *_PREFIXES):
                    store.put_allowed(prefix)
            same(sorted(map(str, store.allowed())), sorted(map(str, _PREFIXES)), "each prefix is there once")
            with store.transaction():
                for _ in range(2):
                    store.delete_allowed(_PREFIXES[0])
            same(set(store.allowed()), set(_PREFIXES[1:]), "deleting is exact, and idempotent")
            same(list(store.live()), [], "a prefix is no holding")

    def test_a_transaction_that_raises_changes_no_prefix(self) -> None:
        """After an error all of them are as before."""

        def fail() -> None:
            with store.transaction():
                store.put_allowed(_PREFIXES[1])
                store.delete_allowed(_PREFIXES[0])
                raise _CancelledError

        with closing(self._open()) as store:
            with store.transaction():
                store.put_allowed(_PREFIXES[0])
            raises(_CancelledError, fail, "a transaction hands errors on")
            same(list(store.allowed()), _PREFIXES[:1], "a transaction that raises changes no prefix")

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

    def test_tenures_come_back(self) -> None:
        """In the same boot to the nanosecond, which is how sessions are compared with them."""
        kept, lasting = a_tenure("alice", (1, 2), (3, 4)), a_tenure("bob", (2**63 + 1, NEVER_NS))
        with closing(self._open()) as store, store.transaction():
            for tenure in (kept, lasting, a_tenure("carol")):
                store.put_tenure(tenure)
            store.delete_tenure("carol", kept.source, kept.service)
        with closing(self._open()) as store:
            same(_tenures(store), {"alice": kept, "bob": lasting}, "tenures are there after a restart")

    def test_allowed_prefixes_come_back(self) -> None:
        """What was deleted does not."""
        with closing(self._open()) as store:
            with store.transaction():
                for prefix in _PREFIXES:
                    store.put_allowed(prefix)
            with store.transaction():
                store.delete_allowed(_PREFIXES[0])
        with closing(self._open()) as store:
            same(set(store.allowed()), set(_PREFIXES[1:]), "prefixes are there after a restart")

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


def a_tenure(client: str, *spans: tuple[int, int]) -> Tenure:
    """Return a tenure of what `a_grant` is for."""
    return Tenure(client, a_grant().source, a_grant().service, spans or ((1_000, NEVER_NS),))


def _tenures(store: GrantStore) -> dict[str, Tenure]:
    return {tenure.client: tenure for tenure in store.tenures()}


def _by_client(store: GrantStore) -> dict[str, Holding]:
    return {holding.client: holding for holding in store.live()}
