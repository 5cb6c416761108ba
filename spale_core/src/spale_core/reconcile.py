# SPDX-License-Identifier: MIT
"""The monitor's decisions without its sockets: it judges claims and keeps kernel and store in agreement.

The listener may be taken over, so nothing that it claims is believed but that a configured client's
datagram was opened; services and windows come from the monitor's own configuration. Order of writing: replay
memory and holdings in one transaction of the store, and only then the kernel. A crash between the two leaves
a knock that must be repeated, never one that can be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spale_core import gate, policy, restore
from spale_core.ageing import Ageing
from spale_core.errors import DataplaneError, StoreError
from spale_core.expulsion import Cause, Expulsion
from spale_core.gate import ClaimRate
from spale_core.ipc import IpcError
from spale_core.ledger import LATE_NS, Ledger
from spale_core.manual import Manual
from spale_core.model import Granted, Reason, Refused

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from spale_core.ageing import Ended
    from spale_core.config.settings import ClientSettings, Settings
    from spale_core.expulsion import Revoked
    from spale_core.holdings import Holdings, Pair
    from spale_core.interfaces import Dataplane, GrantStore
    from spale_core.ledger import Change
    from spale_core.model import Claim, Grant, Holding, Moment, Session, Source
    from spale_core.owners import Owners
    from spale_core.restore import Restored


_FIRST_SEEN_MS = 600_000
"""How long it is known where a datagram was first seen from; only the log's words depend on it."""


class Reconciler:
    """Owns the holdings; the only one that writes grants to the store and to the dataplane."""

    def __init__(
        self,
        settings: Settings,
        store: GrantStore,
        dataplane: Dataplane,
        started: Moment,
        guarded: Container[int] | None = None,
    ) -> None:
        """Judge by `settings`; `started` is when the daemon began, for a memory that was lost by then.

        What did not arrive on one of the interfaces that are `guarded` is refused; None: that is not asked.
        """
        self._settings = settings
        self._guarded = guarded
        self._store = store
        self._started = started
        self._lost_unix_ms = started.unix_ms if store.memory_lost else store.lost_unix_ms
        self._rate = ClaimRate()
        self._ledger = Ledger(store, dataplane, tracks_sessions=settings.session_s > 0)
        self._ageing = Ageing(self._ledger, dataplane)
        self._expulsion = Expulsion(settings, self._ledger, dataplane)
        self.manual = Manual(settings, store, dataplane, self._ledger)
        self._first_seen: dict[bytes, tuple[int, Source]] = {}

    @property
    def unbound_until_unix_ms(self) -> int | None:
        """Return until when unbound datagrams are refused because the memory is lost, None if it is not."""
        until_ms = gate.lost_until_unix_ms(
            self._lost_unix_ms, self._settings.max_skew_s, bound=False, v1=bool(self._settings.v1_clients)
        )
        return until_ms if self._lost_unix_ms and until_ms > self._started.unix_ms else None

    @property
    def holdings(self) -> Holdings:
        """Return who holds what, for others to read."""
        return self._ledger.holdings

    @property
    def owners(self) -> Owners:
        """Return whose sessions are whose, for others to read."""
        return self._ledger.owners

    def seen(self) -> dict[bytes, Source | None]:
        """Return the replay identities that are remembered, each with its first source where known."""
        seen: dict[bytes, Source | None] = dict.fromkeys(self._store.identities())
        seen.update((enc, source) for enc, (_, source) in self._first_seen.items() if enc in seen)
        return seen

    def follow(self, before: Reconciler) -> None:
        """Know what the reconciler of an earlier configuration knows of where datagrams came from."""
        self._first_seen = before._first_seen

    def reassert(self) -> None:
        """Tell the store again what is held, after another configuration was tried and not taken."""
        self._ledger.note_all()
        self._ledger.record()

    def restore(self, now: Moment, left: Mapping[Pair, Grant] | None = None) -> Restored:
        """Give the kernel what is left of the grants in the store; return what became of each.

        `left` is what an earlier daemon left in the kernel, which knows better when they were used last. What
        does not fit, the longest unused first, ends too. Raise DataplaneError or StoreError.
        """
        stored = list(self._store.live())
        known = list(restore.extended(stored, left or {}))
        kept = restore.select(known, self._settings, now)
        self._load(set(stored), known, kept, now)
        try:
            self._ledger.write(self._ledger.holdings.pairs())
        except DataplaneError:
            kept = self._restore_what_fits(kept, now)
        self._ledger.record()
        return restore.compared(known, kept)

    def judge(self, claims: Sequence[Claim], now: Moment) -> list[Granted | Refused]:
        """Judge the claims of one wake-up in one transaction; raise IpcError for an unknown client."""
        if any(claim.client >= len(self._settings.clients) for claim in claims):
            raise IpcError("a claim of a client that is not configured")
        log: list[Change] = []
        try:
            with self._store.transaction():
                answers = [self._decide(claim, now, log) for claim in claims]
        except StoreError:
            self._ledger.undo(log)
            return [Refused(Reason.STORE_FAILED, claim.source, claim.client) for claim in claims]
        if self._ledger.enforce(log) is None:
            return answers
        return [
            self._grant_alone(answer, now) if isinstance(answer, Granted) else answer for answer in answers
        ]

    def sweep(self, now: Moment) -> list[Ended]:
        """Take over what packets did in the kernel, and end what is dead; see `Ageing.sweep`."""
        self._forget_first_seen(now)
        return self._ageing.sweep(now)

    def slept(self, slept_ns: int, now: Moment) -> list[Ended]:
        """Let all grants be so much older, because the machine was suspended; see `Ageing.slept`."""
        return self._ageing.slept(slept_ns, now)

    def revoke(self, client: str, now: Moment) -> list[Revoked]:
        """End the grants of `client`, and the sessions of which it is the last owner, at once.

        It may knock again. Raise DataplaneError or StoreError; then call again.
        """
        return self._expulsion.expel({client: Cause.REVOKED}, now)

    def expel(self, now: Moment) -> list[Revoked]:
        """Do the same to clients that are not configured any more, or whose time is over."""
        due = self._expulsion.due(now)
        return self._expulsion.expel(due, now) if due else []

    def end_elsewhere(self, guarded: Container[int], now: Moment) -> list[Revoked]:
        """End the grants of link-local sources on interfaces that are not `guarded`; raise as `revoke` does.

        An interface that comes anew has another number, so nobody can be let in by them any more.
        """
        return self._expulsion.end_elsewhere(guarded, now)

    def next_expiry_unix_ms(self, now: Moment) -> int | None:
        """Return when `expel` should be called next, as far as the clock decides that."""
        return self._expulsion.next_unix_ms(now)

    def forget_owners(self, sessions: Sequence[Session], asked_ns: int) -> None:
        """Forget who held what when none of `sessions`, all there were at `asked_ns`, is from that time.

        Raise StoreError; the next sweep then tells the store.
        """
        changed = self._ledger.owners.prune(sessions, asked_ns)
        if changed:
            self._ledger.note(changed)
            self._ledger.record()

    def _load(
        self, stored: set[Holding], known: Iterable[Holding], kept: Iterable[Holding], now: Moment
    ) -> None:
        """Take over what the store has: tenures, and of what it knows was held, what is kept."""
        self._ledger.load_tenures(self._store.tenures())
        left = {(holding.client, _pair(holding)): holding for holding in known}
        for holding in kept:
            del left[holding.client, _pair(holding)]
            self._ledger.load(holding, is_recorded=holding in stored)
        for (client, pair), holding in left.items():
            until_ns = min(holding.grant.dead_ns, now.monotonic_ns + LATE_NS)
            self._ledger.drop(client, pair, until_ns)

    def _restore_what_fits(self, wanted: Iterable[Holding], now: Moment) -> list[Holding]:
        """Give the kernel those of `wanted` that it takes; a client's for one address are whole, or none."""
        whole: dict[tuple[str, Source], list[Holding]] = {}
        for holding in wanted:
            self._ledger.drop(holding.client, _pair(holding), now.monotonic_ns + LATE_NS)
            whole.setdefault((holding.client, holding.grant.source), []).append(holding)
        kept = []
        for holdings in whole.values():
            with self._store.transaction():
                log = [
                    self._ledger.hold(each.client, _pair(each), each.grant, now.monotonic_ns)
                    for each in holdings
                ]
            if self._ledger.enforce(log) is None:
                kept += holdings
        return kept

    def _decide(self, claim: Claim, now: Moment, log: list[Change]) -> Granted | Refused:
        client = self._settings.clients[claim.client]
        refused = gate.check_expiry(claim, client, now) or self._rate.check(claim, now)
        if refused is None:
            refused = self._remember(claim, client, now) or self._check(claim, client, now)
        if refused is not None:
            return refused
        granted = Granted(claim, policy.grants(claim, client, now.monotonic_ns))
        self._hold_all(granted, now, log)
        return granted

    def _remember(self, claim: Claim, client: ClientSettings, now: Moment) -> Refused | None:
        if self._store.remember(client.public_key, claim.enc, claim.unix_ms, now.unix_ms):
            self._first_seen[claim.enc] = (now.unix_ms, claim.source)
            return None
        _, first = self._first_seen.get(claim.enc, (0, None))
        return Refused(Reason.REPLAY, claim.source, claim.client, first_source=first)

    def _check(self, claim: Claim, client: ClientSettings, now: Moment) -> Refused | None:
        skew_s = self._settings.max_skew_s
        refused = gate.check_interface(claim, self._guarded)
        refused = refused or gate.check_time(claim, now, skew_s, v1=client.is_v1)
        refused = refused or gate.check_memory(claim, self._lost_unix_ms, skew_s, v1=client.is_v1)
        return refused or gate.check_source(claim, client) or gate.check_services(claim, client)

    def _hold_all(self, granted: Granted, now: Moment, log: list[Change]) -> None:
        """Record `granted`; its client's own oldest address ends if this would be one too many."""
        name = self._settings.clients[granted.claim.client].name
        source = granted.claim.source
        held = self._ledger.holdings
        if not held.pairs_of(name, source):
            while held.sources(name) >= self._settings.client_max_sources:
                oldest = held.pairs_of(name, held.oldest_source(name))
                log += [self._ledger.hold(name, pair, None, now.monotonic_ns) for pair in oldest]
        log += [
            self._ledger.hold(name, (source, grant.service), grant, now.monotonic_ns)
            for grant in granted.grants
        ]

    def _grant_alone(self, granted: Granted, now: Moment) -> Granted | Refused:
        """Grant one of several claims that did not fit together."""
        log: list[Change] = []
        with self._store.transaction():
            self._hold_all(granted, now, log)
        error = self._ledger.enforce(log)
        if error is None:
            return granted
        claim = granted.claim
        return Refused(Reason.GRANTS_FULL, claim.source, claim.client, detail=str(error))

    def _forget_first_seen(self, now: Moment) -> None:
        oldest_ms = now.unix_ms - _FIRST_SEEN_MS
        for enc in [enc for enc, (seen_ms, _) in self._first_seen.items() if seen_ms < oldest_ms]:
            del self._first_seen[enc]


def _pair(holding: Holding) -> Pair:
    return holding.grant.source, holding.grant.service
