# SPDX-License-Identifier: MIT
"""What clients hold, in memory, in the store and in the kernel, and how the three are kept in agreement.

Order of writing for what is new: the store in one transaction, and only then the kernel. What ends leaves the
kernel first, and the store when it can be written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from spale_core import policy
from spale_core.errors import DataplaneError
from spale_core.holdings import Holdings
from spale_core.model import Grant, Holding, Protocol
from spale_core.owners import Owners

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from spale_core.holdings import Pair
    from spale_core.interfaces import Dataplane, GrantStore
    from spale_core.model import Span, Tenure

LATE_NS: Final = 100_000_000
"""How long after the decision to end a grant the kernel may still let a SYN in by it, in nanoseconds."""

_Share = tuple[str, "Pair"]
"""A client, and a pair that it has or had a share in."""


@frozen
class Change:
    """A client's share in a pair that was changed, and what it and its spans were before."""

    client: str
    pair: Pair
    grant: Grant | None
    spans: tuple[Span, ...]


class Ledger:
    """Owns the holdings and whose sessions are whose; the only one that writes them anywhere."""

    def __init__(self, store: GrantStore, dataplane: Dataplane, *, tracks_sessions: bool) -> None:
        """Begin with nothing held; whose sessions are whose matters if the dataplane tracks them."""
        self._store = store
        self._dataplane = dataplane
        self._tracks_sessions = tracks_sessions
        self._unrecorded: set[_Share] = set()
        self.holdings = Holdings()
        self.owners = Owners()
        self.written: dict[Pair, Grant] = {}

    def hold(self, client: str, pair: Pair, grant: Grant | None, now_ns: int) -> Change:
        """Make `grant` the share of `client` in `pair`, None for none, in memory and in the store."""
        change = Change(client, pair, self.holdings.shares(pair).get(client), self.owners.spans(client, pair))
        if grant is None:
            moved = self._drop(client, pair, now_ns + LATE_NS)
        else:
            moved = self._keep(client, pair, grant, now_ns)
        self._save(client, pair, with_tenure=moved)
        return change

    def load(self, holding: Holding, *, is_recorded: bool) -> None:
        """Let what a store knows be held, since ever if that is not known; `record` is to follow."""
        grant = holding.grant
        pair = (grant.source, grant.service)
        # What was opened before anybody counted is better ended with a client than never.
        if self._keep(holding.client, pair, grant, 0) or not is_recorded:
            self._unrecorded.add((holding.client, pair))

    def load_tenures(self, tenures: Iterable[Tenure]) -> None:
        """Take over what a store knows of whose sessions are whose; `record` is to follow."""
        for tenure in tenures:
            pair = (tenure.source, tenure.service)
            if self._tracks_sessions:
                self.owners.put(tenure.client, pair, tenure.spans)
            else:
                self._unrecorded.add((tenure.client, pair))

    def keep(self, client: str, pair: Pair, grant: Grant, since_ns: int) -> None:
        """Let `client` hold `grant`, since `since_ns` if it did not before; `record` is to follow."""
        self._keep(client, pair, grant, since_ns)
        self._unrecorded.add((client, pair))

    def drop(self, client: str, pair: Pair, until_ns: int) -> None:
        """Let `client` hold nothing of `pair`, which it did until `until_ns`; `record` is to follow."""
        self._drop(client, pair, until_ns)
        self._unrecorded.add((client, pair))

    def disown(self, client: str) -> None:
        """Let no session belong to `client`; `record` is to follow."""
        for pair in self.owners.pairs_of(client):
            self.owners.put(client, pair, ())
            self._unrecorded.add((client, pair))

    def note(self, changed: Iterable[_Share]) -> None:
        """Take note that the store has not been told of `changed`; `record` is to follow."""
        self._unrecorded.update(changed)

    def note_all(self) -> None:
        """Take note that the store may say anything of what is held; `record` is to follow."""
        shares = self.holdings.shares
        self.note((client, pair) for pair in self.holdings.pairs() for client in shares(pair))
        self.note((client, pair) for client in self.owners.clients() for pair in self.owners.pairs_of(client))

    def undo(self, log: Sequence[Change]) -> None:
        """Take back what `log` changed, newest first, in memory."""
        for change in reversed(log):
            self.holdings.set(change.client, change.pair, change.grant)
            self.owners.put(change.client, change.pair, change.spans)

    def enforce(self, log: Sequence[Change]) -> DataplaneError | None:
        """Write what `log` changed into the kernel; if it refuses, undo it everywhere and return why."""
        try:
            self.write({change.pair for change in log})
        except DataplaneError as error:
            self.undo(log)
            with self._store.transaction():
                for change in reversed(log):
                    self._save(change.client, change.pair, with_tenure=True)
            self.write({change.pair for change in log if change.grant is not None})
            return error
        return None

    def write(self, pairs: Iterable[Pair]) -> None:
        """Give the kernel the union of what is held for each of `pairs`; nothing held: revoke."""
        shares = {pair: list(self.holdings.shares(pair).values()) for pair in pairs}
        gone = [pair for pair, held in shares.items() if not held]
        if gone:
            self._dataplane.revoke(gone)
            for pair in gone:
                self.written.pop(pair, None)
        unions = {pair: policy.union(held) for pair, held in shares.items() if held}
        if unions:
            self._dataplane.allow(list(unions.values()))
            self.written.update(unions)

    def differing(self, installed: dict[Pair, Grant]) -> set[Pair]:
        """Return the pairs for which the kernel has not what it should have, or has what it should not."""
        pairs = self.holdings.pairs()
        wanted = {pair: policy.union(list(self.holdings.shares(pair).values())) for pair in pairs}
        missing = {pair for pair, grant in wanted.items() if installed.get(pair) != grant}
        return missing | (installed.keys() - wanted.keys())

    def record(self) -> None:
        """Write into the store, in one transaction, what it has not been told, as it is by now."""
        with self._store.transaction():
            for client, pair in self._unrecorded:
                self._save(client, pair, with_tenure=True)
        self._unrecorded.clear()

    def _keep(self, client: str, pair: Pair, grant: Grant, since_ns: int) -> bool:
        """Do it in memory; tell whether it is a new tenure."""
        self.holdings.set(client, pair, grant)
        has_sessions = self._tracks_sessions and pair[1].protocol is Protocol.TCP
        return has_sessions and self.owners.begin(client, pair, since_ns)

    def _drop(self, client: str, pair: Pair, until_ns: int) -> bool:
        """Do it in memory; tell whether it ends a tenure."""
        self.holdings.set(client, pair, None)
        return self.owners.end(client, pair, until_ns)

    def _save(self, client: str, pair: Pair, *, with_tenure: bool) -> None:
        """Tell the store what `client` holds of `pair` by now, and, if that has changed, when it did."""
        grant = self.holdings.shares(pair).get(client)
        if grant is None:
            self._store.delete(client, *pair)
        else:
            self._store.put(Holding(client, grant))
        if not with_tenure:
            return
        tenure = self.owners.tenure(client, pair)
        if tenure is None:
            self._store.delete_tenure(client, *pair)
        else:
            self._store.put_tenure(tenure)
