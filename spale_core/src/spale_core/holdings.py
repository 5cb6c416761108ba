# SPDX-License-Identifier: MIT
"""Who holds what: the monitor's own picture of all grants, by client and by what the kernel keys them on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from spale_core.model import Grant, Service, Source

Pair = tuple["Source", "Service"]
"""What one kernel grant is for."""

BY_HAND: Final = ""
"""Who holds what an administrator has granted; no client's name is empty."""


class Holdings:
    """Each client's share in each pair; several clients behind one address share a pair."""

    def __init__(self) -> None:
        """Begin with nobody holding anything."""
        self._shares: dict[Pair, dict[str, Grant]] = {}
        self._pairs: dict[str, dict[Source, set[Service]]] = {}

    def set(self, client: str, pair: Pair, grant: Grant | None) -> Grant | None:
        """Make `grant` the share of `client` in `pair`, None for none; return what it was before."""
        before = self._shares.get(pair, {}).get(client)
        if grant is not None:
            self._shares.setdefault(pair, {})[client] = grant
            self._pairs.setdefault(client, {}).setdefault(pair[0], set()).add(pair[1])
        elif before is not None:
            self._remove(client, pair)
        return before

    def shares(self, pair: Pair) -> Mapping[str, Grant]:
        """Return the shares in `pair` by client's name."""
        return self._shares.get(pair, {})

    def pairs(self) -> list[Pair]:
        """Return every pair that somebody holds."""
        return list(self._shares)

    def sources(self, client: str) -> int:
        """Return how many addresses `client` holds grants for."""
        return len(self._pairs.get(client, {}))

    def pairs_of(self, client: str, source: Source) -> list[Pair]:
        """Return what `client` holds for `source`."""
        return [(source, service) for service in sorted(self._pairs.get(client, {}).get(source, ()))]

    def held_by(self, client: str) -> list[Pair]:
        """Return every pair that `client` holds."""
        return [pair for source in self._pairs.get(client, {}) for pair in self.pairs_of(client, source)]

    def oldest_source(self, client: str) -> Source:
        """Return the address of `client` whose last use is longest ago; the client must have one."""
        return min(self._pairs[client], key=lambda source: self._last_use_ns(client, source))

    def __iter__(self) -> Iterator[tuple[str, Grant]]:
        """Yield every client's name with each of its shares."""
        return ((client, grant) for shares in self._shares.values() for client, grant in shares.items())

    def _last_use_ns(self, client: str, source: Source) -> int:
        return max(self._shares[pair][client].last_ns for pair in self.pairs_of(client, source))

    def _remove(self, client: str, pair: Pair) -> None:
        source, service = pair
        del self._shares[pair][client]
        if not self._shares[pair]:
            del self._shares[pair]
        sources = self._pairs[client]
        sources[source].discard(service)
        if not sources[source]:
            del sources[source]
        if not sources:
            del self._pairs[client]
