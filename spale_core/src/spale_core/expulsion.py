# SPDX-License-Identifier: MIT
"""Ends what a client has, at once: because it was revoked, is configured no more, or its time is over.

Its grants leave the kernel; what others hold behind the same address stays. Then those sessions end of which
it was the last owner (spec.md, "The packet's way in").
"""

from __future__ import annotations

import enum
from bisect import bisect_left
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from spale_core.holdings import BY_HAND
from spale_core.ledger import LATE_NS

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from spale_core.config.settings import Settings
    from spale_core.holdings import Pair
    from spale_core.interfaces import Dataplane
    from spale_core.ledger import Ledger
    from spale_core.model import Moment, Service, Source

LOOKS = 2
"""A SYN that met its grant right before that was gone may come into the kernel's table during the first."""


class Cause(enum.Enum):
    """Why a client has to go; the value is the word in the log."""

    REVOKED = "revoked"
    EXPIRED = "expired"
    REMOVED = "removed"
    CHANGED = "changed"
    INTERFACE = "interface"


@frozen
class Revoked:
    """What ended of a client at one source: grants for `services`, and that many sessions."""

    client: str
    cause: Cause
    source: Source
    services: tuple[Service, ...]
    sessions: int


@define
class _Loss:
    services: list[Service] = field(factory=list)
    sessions: int = 0


class Expulsion:
    """Knows who has to go, and sees to it."""

    def __init__(self, settings: Settings, ledger: Ledger, dataplane: Dataplane) -> None:
        """Take who is configured, and until when, from `settings`."""
        self._ledger = ledger
        self._dataplane = dataplane
        self._configured = frozenset({BY_HAND, *(client.name for client in settings.clients)})
        self._expiries = sorted(
            (client.expires_unix_ms, client.name)
            for client in settings.clients
            if client.expires_unix_ms is not None
        )
        self._losses: dict[tuple[str, Cause, Source], _Loss] = {}

    def next_unix_ms(self, now: Moment) -> int | None:
        """Return when the next client's time will be over, None if nobody's will."""
        later = self._expired(now)
        return self._expiries[later][0] + 1 if later < len(self._expiries) else None

    def due(self, now: Moment) -> dict[str, Cause]:
        """Return the clients that have something left and may not have it any more."""
        gone = dict.fromkeys(self._ledger.owners.clients() - self._configured, Cause.REMOVED)
        for _, client in self._expiries[: self._expired(now)]:
            if self._ledger.owners.owns(client) or self._ledger.holdings.sources(client):
                gone[client] = Cause.EXPIRED
        return gone

    def expel(self, clients: Mapping[str, Cause], now: Moment) -> list[Revoked]:
        """End what `clients` have; return what that was, also if it is told only now.

        Raise DataplaneError or StoreError; who calls again has the rest done.
        """
        for client, cause in clients.items():
            self._end_grants(client, cause, now)
        if any(self._ledger.owners.owns(client) for client in clients):
            for _ in range(LOOKS):
                self._end_sessions(clients)
            for client in clients:
                self._ledger.disown(client)
        return self._told()

    def end_elsewhere(self, guarded: Container[int], now: Moment) -> list[Revoked]:
        """End the grants of sources on links that are not `guarded`; return what that was; raise likewise."""
        gone: dict[str, list[Pair]] = {}
        for client, grant in self._ledger.holdings:
            if grant.source.ifindex and grant.source.ifindex not in guarded:
                gone.setdefault(client, []).append((grant.source, grant.service))
        for client, pairs in gone.items():
            self._end_pairs(client, pairs, Cause.INTERFACE, now)
        return self._told() if gone else []

    def _told(self) -> list[Revoked]:
        """Record what was done, and return it."""
        self._ledger.record()
        losses, self._losses = self._losses, {}
        return [Revoked(*key, tuple(sorted(loss.services)), loss.sessions) for key, loss in losses.items()]

    def _end_grants(self, client: str, cause: Cause, now: Moment) -> None:
        self._end_pairs(client, self._ledger.holdings.held_by(client), cause, now)

    def _end_pairs(self, client: str, pairs: Iterable[Pair], cause: Cause, now: Moment) -> None:
        for pair in pairs:
            self._ledger.drop(client, pair, now.monotonic_ns + LATE_NS)
            self._loss(client, cause, pair[0]).services.append(pair[1])
        self._ledger.write(pairs)

    def _end_sessions(self, clients: Mapping[str, Cause]) -> None:
        orphans = self._ledger.owners.only_of(self._dataplane.sessions(), clients)
        self._dataplane.end_sessions(orphans)
        for session in orphans:
            # Of several that go together, one is enough to be named.
            client = min(self._ledger.owners.of(session))
            self._loss(client, clients[client], session.source).sessions += 1

    def _loss(self, client: str, cause: Cause, source: Source) -> _Loss:
        return self._losses.setdefault((client, cause, source), _Loss())

    def _expired(self, now: Moment) -> int:
        """Return how many of those whose time will be over at all have none left now."""
        return bisect_left(self._expiries, (now.unix_ms, ""))
