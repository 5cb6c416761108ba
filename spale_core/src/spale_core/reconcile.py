# SPDX-License-Identifier: MIT
"""The monitor's decisions without its sockets: it judges claims and keeps kernel and store in agreement.

The listener may be taken over, so nothing that it claims is believed but that a configured client's
datagram was opened; services and windows come from the monitor's own configuration. Order of writing: replay
memory and holdings in one transaction of the store, and only then the kernel. A crash between the two leaves
a knock that must be repeated, never one that can be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from spale_core import gate, policy, restore
from spale_core.errors import DataplaneError, StoreError
from spale_core.gate import ClaimRate
from spale_core.holdings import Holdings
from spale_core.ipc import IpcError
from spale_core.model import Granted, Holding, Reason, Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from spale_core.config.settings import ClientSettings, Settings
    from spale_core.holdings import Pair
    from spale_core.interfaces import Dataplane, GrantStore
    from spale_core.model import Claim, Grant, Moment, Service, Source


_FIRST_SEEN_MS = 600_000
"""How long it is known where a datagram was first seen from; only the log's words depend on it."""


@frozen
class Ended:
    """What a client held for `source` has run out."""

    client: str
    source: Source
    services: tuple[Service, ...]


_Share = tuple[str, "Pair"]
"""A client, and a pair that it has or had a share in."""

_Change = tuple[str, "Pair", "Grant | None"]
"""A client, a pair, and the share that the client had in it before."""


class Reconciler:
    """Owns the holdings; the only one that writes grants to the store and to the dataplane."""

    def __init__(self, settings: Settings, store: GrantStore, dataplane: Dataplane, started: Moment) -> None:
        """Judge by `settings`; `started` is when the daemon began, for a memory that was lost by then."""
        self._settings = settings
        self._store = store
        self._dataplane = dataplane
        self._started = started
        self._lost_unix_ms = started.unix_ms if store.memory_lost else store.lost_unix_ms
        self._rate = ClaimRate()
        self._holdings = Holdings()
        self._written: dict[Pair, Grant] = {}
        self._ended: list[_Share] = []
        self._unrecorded: set[_Share] = set()
        self._first_seen: dict[bytes, tuple[int, Source]] = {}

    @property
    def unbound_until_unix_ms(self) -> int | None:
        """Return until when unbound datagrams are refused because the memory is lost, None if it is not."""
        until_ms = gate.lost_until_unix_ms(self._lost_unix_ms, self._settings.max_skew_s, bound=False)
        return until_ms if self._lost_unix_ms and until_ms > self._started.unix_ms else None

    def seen(self) -> dict[bytes, Source | None]:
        """Return the replay identities that are remembered, each with its first source where known."""
        seen: dict[bytes, Source | None] = dict.fromkeys(self._store.identities())
        seen.update((enc, source) for enc, (_, source) in self._first_seen.items() if enc in seen)
        return seen

    def restore(self, now: Moment, left: Mapping[Pair, Grant] | None = None) -> tuple[int, int]:
        """Give the kernel what is left of the grants in the store; return how many, and how many ended.

        `left` is what an earlier daemon left in the kernel, which knows better when they were used last. What
        does not fit, the longest unused first, ends too. Raise DataplaneError or StoreError.
        """
        stored = list(self._store.live())
        kept = restore.select(restore.extended(stored, left or {}), self._settings, now)
        for holding in kept:
            self._holdings.set(holding.client, _pair(holding), holding.grant)
        try:
            self._write(self._holdings.pairs())
        except DataplaneError:
            kept = self._restore_what_fits(kept)
        unchanged = set(stored) & set(kept)
        with self._store.transaction():
            for holding in set(stored) - unchanged:
                self._store.delete(holding.client, *_pair(holding))
            for holding in set(kept) - unchanged:
                self._store.put(holding)
        return len(kept), len(stored) - len(kept)

    def judge(self, claims: Sequence[Claim], now: Moment) -> list[Granted | Refused]:
        """Judge the claims of one wake-up in one transaction; raise IpcError for an unknown client."""
        if any(claim.client >= len(self._settings.clients) for claim in claims):
            raise IpcError("a claim of a client that is not configured")
        log: list[_Change] = []
        try:
            with self._store.transaction():
                answers = [self._decide(claim, now, log) for claim in claims]
        except StoreError:
            self._undo(log)
            return [Refused(Reason.STORE_FAILED, claim.source, claim.client) for claim in claims]
        if self._enforce(log) is None:
            return answers
        return [self._grant_alone(answer) if isinstance(answer, Granted) else answer for answer in answers]

    def sweep(self, now: Moment) -> list[Ended]:
        """Take over what packets did in the kernel, and end what is dead.

        Raise DataplaneError or StoreError; the next sweep then does what this one left.
        """
        installed = {(grant.source, grant.service): grant for grant in self._dataplane.installed()}
        for pair in self._holdings.pairs():
            self._age(pair, installed.get(pair), now)
        self._write(self._differing(installed))
        self._record()
        self._forget_first_seen(now)
        ended, self._ended = self._ended, []
        return _grouped(ended)

    def _restore_what_fits(self, wanted: Iterable[Holding]) -> list[Holding]:
        """Give the kernel those of `wanted` that it takes; a client's for one address are whole, or none."""
        whole: dict[tuple[str, Source], list[Holding]] = {}
        for holding in wanted:
            self._holdings.set(holding.client, _pair(holding), None)
            whole.setdefault((holding.client, holding.grant.source), []).append(holding)
        kept = []
        for holdings in whole.values():
            log: list[_Change] = [
                (each.client, _pair(each), self._holdings.set(each.client, _pair(each), each.grant))
                for each in holdings
            ]
            if self._enforce(log) is None:
                kept += holdings
        return kept

    def _decide(self, claim: Claim, now: Moment, log: list[_Change]) -> Granted | Refused:
        client = self._settings.clients[claim.client]
        refused = gate.check_expiry(claim, client, now) or self._rate.check(claim, now)
        if refused is None:
            refused = self._remember(claim, client, now) or self._check(claim, client, now)
        if refused is not None:
            return refused
        granted = Granted(claim, policy.grants(claim, client, now.monotonic_ns))
        self._hold_all(granted, log)
        return granted

    def _remember(self, claim: Claim, client: ClientSettings, now: Moment) -> Refused | None:
        if self._store.remember(client.public_key, claim.enc, claim.unix_ms, now.unix_ms):
            self._first_seen[claim.enc] = (now.unix_ms, claim.source)
            return None
        _, first = self._first_seen.get(claim.enc, (0, None))
        return Refused(Reason.REPLAY, claim.source, claim.client, first_source=first)

    def _check(self, claim: Claim, client: ClientSettings, now: Moment) -> Refused | None:
        skew_s = self._settings.max_skew_s
        refused = gate.check_time(claim, now, skew_s)
        refused = refused or gate.check_memory(claim, self._lost_unix_ms, skew_s)
        return refused or gate.check_source(claim, client) or gate.check_services(claim, client)

    def _hold_all(self, granted: Granted, log: list[_Change]) -> None:
        """Record `granted`; its client's own oldest address ends if this would be one too many."""
        client = self._settings.clients[granted.claim.client]
        source = granted.claim.source
        if not self._holdings.pairs_of(client.name, source):
            while self._holdings.sources(client.name) >= self._settings.client_max_sources:
                oldest = self._holdings.oldest_source(client.name)
                for pair in self._holdings.pairs_of(client.name, oldest):
                    self._hold(client.name, pair, None, log)
        for grant in granted.grants:
            self._hold(client.name, (source, grant.service), grant, log)

    def _hold(self, client: str, pair: Pair, grant: Grant | None, log: list[_Change]) -> None:
        if grant is None:
            self._store.delete(client, *pair)
        else:
            self._store.put(Holding(client, grant))
        log.append((client, pair, self._holdings.set(client, pair, grant)))

    def _undo(self, log: list[_Change]) -> None:
        for client, pair, before in reversed(log):
            self._holdings.set(client, pair, before)

    def _enforce(self, log: list[_Change]) -> DataplaneError | None:
        """Write what `log` changed into the kernel; if it refuses, undo it everywhere and return why."""
        try:
            self._write({pair for _, pair, _ in log})
        except DataplaneError as error:
            self._undo(log)
            self._restore(log)
            return error
        return None

    def _grant_alone(self, granted: Granted) -> Granted | Refused:
        """Grant one of several claims that did not fit together."""
        log: list[_Change] = []
        with self._store.transaction():
            self._hold_all(granted, log)
        error = self._enforce(log)
        if error is None:
            return granted
        claim = granted.claim
        return Refused(Reason.GRANTS_FULL, claim.source, claim.client, detail=str(error))

    def _restore(self, log: list[_Change]) -> None:
        """Make store and kernel agree again with the holdings from before `log`."""
        with self._store.transaction():
            for client, pair, before in reversed(log):
                if before is None:
                    self._store.delete(client, *pair)
                else:
                    self._store.put(Holding(client, before))
        self._write({pair for _, pair, before in log if before is not None})

    def _write(self, pairs: Iterable[Pair]) -> None:
        """Give the kernel the union of what is held for each of `pairs`; nothing held: revoke."""
        shares = {pair: list(self._holdings.shares(pair).values()) for pair in pairs}
        gone = [pair for pair, held in shares.items() if not held]
        if gone:
            self._dataplane.revoke(gone)
            for pair in gone:
                self._written.pop(pair, None)
        unions = {pair: policy.union(held) for pair, held in shares.items() if held}
        if unions:
            self._dataplane.allow(list(unions.values()))
            self._written.update(unions)

    def _age(self, pair: Pair, installed: Grant | None, now: Moment) -> None:
        """Extend the shares in `pair` by the packets that the kernel saw, and drop the dead ones."""
        written = self._written.get(pair)
        # A knock moves the kernel's time too; only a packet moves it on from there.
        moved = installed is not None and written is not None and installed.last_ns > written.last_ns
        for client, share in list(self._holdings.shares(pair).items()):
            aged = policy.extended(share, installed) if installed is not None and moved else share
            if aged.dead_ns <= now.monotonic_ns:
                self._holdings.set(client, pair, None)
                self._ended.append((client, pair))
            elif aged is not share:
                self._holdings.set(client, pair, aged)
            else:
                continue
            self._unrecorded.add((client, pair))

    def _differing(self, installed: dict[Pair, Grant]) -> set[Pair]:
        """Return the pairs for which the kernel has not what it should have, or has what it should not."""
        wanted = {
            pair: policy.union(list(self._holdings.shares(pair).values())) for pair in self._holdings.pairs()
        }
        missing = {pair for pair, grant in wanted.items() if installed.get(pair) != grant}
        return missing | (installed.keys() - wanted.keys())

    def _record(self) -> None:
        """Write what sweeps have changed into the store, as it is by now."""
        with self._store.transaction():
            for client, pair in self._unrecorded:
                grant = self._holdings.shares(pair).get(client)
                if grant is None:
                    self._store.delete(client, *pair)
                else:
                    self._store.put(Holding(client, grant))
        self._unrecorded.clear()

    def _forget_first_seen(self, now: Moment) -> None:
        oldest_ms = now.unix_ms - _FIRST_SEEN_MS
        for enc in [enc for enc, (seen_ms, _) in self._first_seen.items() if seen_ms < oldest_ms]:
            del self._first_seen[enc]


def _pair(holding: Holding) -> Pair:
    return holding.grant.source, holding.grant.service


def _grouped(ended: Iterable[_Share]) -> list[Ended]:
    services: dict[tuple[str, Source], list[Service]] = {}
    for client, (source, service) in ended:
        services.setdefault((client, source), []).append(service)
    return [Ended(client, source, tuple(sorted(found))) for (client, source), found in services.items()]
