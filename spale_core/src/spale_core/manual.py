# SPDX-License-Identifier: MIT
"""What an administrator grants by hand (`spale authorize`), and takes back. No I/O.

It is held like what a client has knocked for, by a holder without a name, beside what clients hold for the
same address and service: neither ends the other (docs/adr/0095).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from spale_core import policy
from spale_core.config.settings import MAX_SERVICES
from spale_core.errors import DataError, StoreError
from spale_core.expulsion import LOOKS
from spale_core.gate import is_host
from spale_core.holdings import BY_HAND
from spale_core.ledger import LATE_NS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from spale_core.config.settings import Settings
    from spale_core.holdings import Pair
    from spale_core.interfaces import Dataplane, GrantStore
    from spale_core.ledger import Change, Ledger
    from spale_core.model import Grant, Moment, Service, Source

_NAMED = 5
"""So many services are named in a sentence."""


@frozen
class Wish:
    """What is to be granted: `services` None means all that are protected.

    Windows are seconds, -1 never ends, None as configured for everybody.
    """

    source: Source
    services: frozenset[Service] | None = field(default=None)
    idle_s: int | None = field(default=None)
    grace_s: int | None = field(default=None)


@frozen
class Withdrawn:
    """What ended at one address: grants for `services`, and that many sessions."""

    services: tuple[Service, ...]
    sessions: int


class Manual:
    """Grants by hand, and ends what was granted so."""

    def __init__(self, settings: Settings, store: GrantStore, dataplane: Dataplane, ledger: Ledger) -> None:
        """Take what is protected, and for how long, from `settings`."""
        self._settings = settings
        self._store = store
        self._dataplane = dataplane
        self._ledger = ledger

    def authorize(self, wish: Wish, now: Moment) -> tuple[Grant, ...]:
        """Grant `wish` from now on, all of it, in place of what was granted so before.

        Raise DataError if it cannot be granted, DataplaneError if there is no room, StoreError.
        """
        if not is_host(wish.source):
            raise DataError(f"{wish.source.address} is no address that a packet can come from")
        services = self._judged(wish.services)
        if len(services) > MAX_SERVICES:
            raise DataError(
                f"these are {len(services)} services, and at most {MAX_SERVICES} are granted at once;"
                " name fewer ports"
            )
        settings = self._settings
        idle_s = settings.idle_s if wish.idle_s is None else wish.idle_s
        grace_s = settings.grace_s if wish.grace_s is None else wish.grace_s
        windows_s = (idle_s, grace_s, settings.max_s)
        grants = policy.from_now(wish.source, services, windows_s, now.monotonic_ns)
        log: list[Change] = []
        try:
            with self._store.transaction():
                for grant in grants:
                    pair = (grant.source, grant.service)
                    log.append(self._ledger.hold(BY_HAND, pair, grant, now.monotonic_ns))
        except StoreError:
            self._ledger.undo(log)
            raise
        error = self._ledger.enforce(log)
        if error is not None:
            raise error
        return grants

    def withdraw(self, source: Source, services: frozenset[Service] | None, now: Moment) -> Withdrawn:
        """End what was granted to `source` by hand, and sessions that belong to nothing else, at once.

        None means all services. Raise DataError, DataplaneError or StoreError; after the last two, call
        again.
        """
        wanted = self._judged(services)
        holdings, owners = self._ledger.holdings, self._ledger.owners
        held = [pair for pair in holdings.pairs_of(BY_HAND, source) if pair[1] in wanted]
        owned = {pair for pair in owners.pairs_of(BY_HAND) if pair[0] == source and pair[1] in wanted}
        for pair in held:
            self._ledger.drop(BY_HAND, pair, now.monotonic_ns + LATE_NS)
        self._ledger.write(held)
        sessions = self._end_sessions(owned) if owned else 0
        for pair in owned:
            owners.put(BY_HAND, pair, ())
        self._ledger.note((BY_HAND, pair) for pair in owned)
        self._ledger.record()
        return Withdrawn(tuple(service for _, service in held), sessions)

    def _judged(self, services: frozenset[Service] | None) -> Sequence[Service]:
        """Return `services` in order; raise DataError if one is not protected."""
        protected = self._settings.services
        surplus = sorted((services or frozenset()) - protected)
        if surplus:
            verb = "is" if len(surplus) == 1 else "are"
            more = ", ..." if len(surplus) > _NAMED else ""
            words = ", ".join(map(str, surplus[:_NAMED])) + more
            raise DataError(f"{words} {verb} not protected; name only what is (spale list ports)")
        return sorted(protected if services is None else services)

    def _end_sessions(self, pairs: Collection[Pair]) -> int:
        """End those that only a grant by hand has let in; return how many."""
        count = 0
        for _ in range(LOOKS):
            there = [each for each in self._dataplane.sessions() if (each.source, each.service) in pairs]
            orphans = self._ledger.owners.only_of(there, (BY_HAND,))
            self._dataplane.end_sessions(orphans)
            count += len(orphans)
        return count
