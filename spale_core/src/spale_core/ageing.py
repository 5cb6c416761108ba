# SPDX-License-Identifier: MIT
"""What time does to what clients hold: packets extend it; silence, its own end or a suspend end it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from spale_core import policy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spale_core.holdings import Pair
    from spale_core.interfaces import Dataplane
    from spale_core.ledger import Ledger
    from spale_core.model import Grant, Moment, Service, Source


@frozen
class Ended:
    """What a client held for `source` has run out."""

    client: str
    source: Source
    services: tuple[Service, ...]


class Ageing:
    """Takes over what packets did in the kernel, and ends what is dead."""

    def __init__(self, ledger: Ledger, dataplane: Dataplane) -> None:
        """Look after what is in `ledger`."""
        self._ledger = ledger
        self._dataplane = dataplane
        self._ended: list[tuple[str, Pair]] = []

    def sweep(self, now: Moment) -> list[Ended]:
        """Do that; raise DataplaneError or StoreError, the next sweep then does what this one left."""
        installed = self._installed()
        for pair in self._ledger.holdings.pairs():
            for client, share in list(self._ledger.holdings.shares(pair).items()):
                self._age(client, share, self._used(pair, share, installed), now)
        return self._agree(self._ledger.differing(installed))

    def slept(self, slept_ns: int, now: Moment) -> list[Ended]:
        """Let all be `slept_ns` older: for so long CLOCK_MONOTONIC, and the kernel with it, stood still.

        Raise as `sweep` does.
        """
        installed = self._installed()
        for pair in self._ledger.holdings.pairs():
            for client, share in list(self._ledger.holdings.shares(pair).items()):
                self._age(client, share, policy.slept(self._used(pair, share, installed), slept_ns), now)
        return self._agree(self._ledger.differing(installed))

    def _installed(self) -> dict[Pair, Grant]:
        return {(grant.source, grant.service): grant for grant in self._dataplane.installed()}

    def _used(self, pair: Pair, share: Grant, installed: dict[Pair, Grant]) -> Grant:
        """Return `share` in `pair`, extended by the packets that the kernel saw."""
        there, written = installed.get(pair), self._ledger.written.get(pair)
        # A knock moves the kernel's time too; only a packet moves it on from there.
        moved = there is not None and written is not None and there.last_ns > written.last_ns
        return policy.extended(share, there) if there is not None and moved else share

    def _age(self, client: str, share: Grant, aged: Grant, now: Moment) -> None:
        """Put `aged` in the place of `share`, or nothing if it is DEAD."""
        pair = (share.source, share.service)
        if aged.dead_ns <= now.monotonic_ns:
            self._ledger.drop(client, pair, min(now.monotonic_ns, max(aged.dead_ns, share.dead_ns)))
            self._ended.append((client, pair))
        elif aged is not share:
            self._ledger.keep(client, pair, aged, now.monotonic_ns)

    def _agree(self, pairs: Iterable[Pair]) -> list[Ended]:
        """Tell the kernel and the store; return what has ended since that was possible last."""
        self._ledger.write(pairs)
        self._ledger.record()
        ended, self._ended = self._ended, []
        return grouped(ended)


def grouped(ended: Iterable[tuple[str, Pair]]) -> list[Ended]:
    """Return what clients do not hold any more, one for each client and source."""
    services: dict[tuple[str, Source], list[Service]] = {}
    for client, (source, service) in ended:
        services.setdefault((client, source), []).append(service)
    return [Ended(client, source, tuple(sorted(found))) for (client, source), found in services.items()]
