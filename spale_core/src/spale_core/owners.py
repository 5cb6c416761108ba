# SPDX-License-Identifier: MIT
"""Whose a session is: every client's that held its source and service when its SYN passed. No I/O.

A session does not say who opened it: several clients may hold one source and service, and the kernel has one
grant for them. So it is remembered from when until when each client held a pair, in the kernel's time, for as
long as a session of that pair may be from then (docs/adr/0076).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spale_core.model import NEVER_NS, Tenure

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence
    from collections.abc import Set as AbstractSet

    from spale_core.holdings import Pair
    from spale_core.model import Session, Span

    Spans = tuple[Span, ...]

_ADOPTED_NS = 0
"""What stood at the first attach was let in by nobody."""


class Owners:
    """The spans in which each client held each pair; times are nanoseconds of CLOCK_MONOTONIC."""

    def __init__(self) -> None:
        """Begin with nobody ever having held anything."""
        self._spans: dict[Pair, dict[str, Spans]] = {}
        self._pairs: dict[str, set[Pair]] = {}
        self._past: set[tuple[str, Pair]] = set()

    def spans(self, client: str, pair: Pair) -> Spans:
        """Return when `client` held `pair`, as far as that is known."""
        return self._spans.get(pair, {}).get(client, ())

    def tenure(self, client: str, pair: Pair) -> Tenure | None:
        """Return the same for a store; None if nothing is known."""
        spans = self.spans(client, pair)
        return Tenure(client, *pair, spans) if spans else None

    def owns(self, client: str) -> bool:
        """Tell whether sessions of `client` may be left."""
        return client in self._pairs

    def clients(self) -> AbstractSet[str]:
        """Return every client of which sessions may be left."""
        return self._pairs.keys()

    def pairs_of(self, client: str) -> list[Pair]:
        """Return the pairs that `client` held or holds."""
        return list(self._pairs.get(client, ()))

    def put(self, client: str, pair: Pair, spans: Spans) -> None:
        """Make `spans` all that is known of `client` and `pair`."""
        if spans:
            self._spans.setdefault(pair, {})[client] = spans
            self._pairs.setdefault(client, set()).add(pair)
        elif self.spans(client, pair):
            self._forget(client, pair)
        if spans and spans[0][1] != NEVER_NS:
            self._past.add((client, pair))
        else:
            self._past.discard((client, pair))

    def begin(self, client: str, pair: Pair, since_ns: int) -> bool:
        """Note that `client` holds `pair` from `since_ns` on; tell whether it did not before."""
        spans = self.spans(client, pair)
        if spans and spans[-1][1] == NEVER_NS:
            return False
        self.put(client, pair, (*spans, (since_ns, NEVER_NS)))
        return True

    def end(self, client: str, pair: Pair, until_ns: int) -> bool:
        """Note that `client` held `pair` until `until_ns` and does no more; tell whether it did."""
        spans = self.spans(client, pair)
        if not spans or spans[-1][1] != NEVER_NS:
            return False
        since_ns, _ = spans[-1]
        self.put(client, pair, (*spans[:-1], (since_ns, max(since_ns, until_ns))))
        return True

    def of(self, session: Session) -> set[str]:
        """Return the clients that `session` belongs to: none if it was adopted, or nobody knows."""
        if session.opened_ns == _ADOPTED_NS:
            return set()
        held = self._spans.get((session.source, session.service), {})
        return {client for client, spans in held.items() if _covers(spans, session.opened_ns)}

    def only_of(self, sessions: Iterable[Session], clients: Container[str]) -> list[Session]:
        """Return those of `sessions` that belong to somebody, and to nobody but some of `clients`."""
        return [
            session
            for session in sessions
            if (owners := self.of(session)) and all(owner in clients for owner in owners)
        ]

    def prune(self, sessions: Sequence[Session], asked_ns: int) -> list[tuple[str, Pair]]:
        """Forget the spans from which none of `sessions`, all that there were at `asked_ns`, can be left.

        Return what has changed.
        """
        if not self._past:
            return []
        opened: dict[Pair, list[int]] = {}
        for session in sessions:
            opened.setdefault((session.source, session.service), []).append(session.opened_ns)
        changed = []
        for client, pair in list(self._past):
            spans = self.spans(client, pair)
            times = opened.get(pair, ())
            kept = tuple(each for each in spans if each[1] >= asked_ns or _has(each, times))
            if kept != spans:
                self.put(client, pair, kept)
                changed.append((client, pair))
        return changed

    def _forget(self, client: str, pair: Pair) -> None:
        del self._spans[pair][client]
        if not self._spans[pair]:
            del self._spans[pair]
        self._pairs[client].discard(pair)
        if not self._pairs[client]:
            del self._pairs[client]


def _covers(spans: Spans, time_ns: int) -> bool:
    return any(since_ns <= time_ns <= until_ns for since_ns, until_ns in spans)


def _has(span: Span, times_ns: Iterable[int]) -> bool:
    return any(span[0] <= time_ns <= span[1] for time_ns in times_ns)
