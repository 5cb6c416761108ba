# SPDX-License-Identifier: MIT
"""What is left of a grant after a restart: who may still have it, and for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve, frozen

from spale_core import policy
from spale_core.holdings import BY_HAND

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from spale_core.config.settings import ClientSettings, Settings
    from spale_core.holdings import Pair
    from spale_core.model import Grant, Holding, Moment, Service, Source


@frozen
class Restored:
    """What became of what was stored: what goes on, `cut` of it with shorter windows, and what has ended."""

    kept: Sequence[Holding]
    ended: Sequence[Holding]
    cut: int


def compared(known: Iterable[Holding], kept: Sequence[Holding]) -> Restored:
    """Return what became of what was `known`, of which `kept` goes on."""
    before = {_key(holding): holding for holding in known}
    after = {_key(holding) for holding in kept}
    return Restored(
        kept=kept,
        ended=[holding for key, holding in before.items() if key not in after],
        cut=sum(_windows(holding) != _windows(before[_key(holding)]) for holding in kept),
    )


def select(stored: Iterable[Holding], settings: Settings, now: Moment) -> list[Holding]:
    """Return what may go on of what was `stored`, the last used first.

    Ended has what belongs to a client or a service that is not configured any more, to an address that the
    client may no longer knock from, or to one too many; and what is DEAD, or was used last in the future: who
    knows when that was. The windows are cut to those of now; those of a grant by hand are its own.
    """
    clients = {client.name: client for client in settings.clients}
    kept = []
    for holding in stored:
        if holding.client == BY_HAND:
            grant = holding.grant if holding.grant.service in settings.services else None
        else:
            grant = _cut(holding, clients.get(holding.client), now)
        if grant is not None and grant.last_ns <= now.monotonic_ns < grant.dead_ns:
            kept.append(evolve(holding, grant=grant))
    kept.sort(key=lambda holding: holding.grant.last_ns, reverse=True)
    return _without_surplus(kept, settings.client_max_sources)


def extended(stored: Iterable[Holding], left: Mapping[Pair, Grant]) -> Iterator[Holding]:
    """Yield what was `stored`, used last when the kernel says so of what an earlier daemon `left` there."""
    for holding in stored:
        installed = left.get((holding.grant.source, holding.grant.service))
        if installed is None:
            yield holding
        else:
            yield evolve(holding, grant=policy.extended(holding.grant, installed))


def _cut(holding: Holding, client: ClientSettings | None, now: Moment) -> Grant | None:
    """Return what `client` may have of a holding by now."""
    if client is None or not _may_have(client, holding, now):
        return None
    return policy.cut(holding.grant, client, now.monotonic_ns)


def _may_have(client: ClientSettings, holding: Holding, now: Moment) -> bool:
    if client.expires_unix_ms is not None and now.unix_ms > client.expires_unix_ms:
        return False
    if client.sources and not any(holding.grant.source.address in network for network in client.sources):
        return False
    return holding.grant.service in client.services


def _key(holding: Holding) -> tuple[str, Source, Service]:
    return holding.client, holding.grant.source, holding.grant.service


def _windows(holding: Holding) -> tuple[int, int, int]:
    return holding.grant.idle_ns, holding.grant.grace_ns, holding.grant.end_ns


def _without_surplus(holdings: Sequence[Holding], limit: int) -> list[Holding]:
    """Return what belongs to the first `limit` addresses of each client."""
    sources: dict[str, set[Source]] = {}
    kept = []
    for holding in holdings:
        known = sources.setdefault(holding.client, set())
        is_surplus = holding.grant.source not in known and len(known) >= limit
        if is_surplus and holding.client != BY_HAND:
            continue
        known.add(holding.grant.source)
        kept.append(holding)
    return kept
