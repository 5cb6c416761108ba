# SPDX-License-Identifier: MIT
"""What needs no knock: the configuration's prefixes and those that `spale allowlist` added. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spale_core.config.settings import MAX_PREFIXES
from spale_core.errors import DataError, DataplaneError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from spale_core.interfaces import Dataplane, GrantStore
    from spale_core.model import Network


class Allowlist:
    """Keeps the kernel's list in agreement with the configuration and the store."""

    def __init__(self, configured: Iterable[Network], store: GrantStore, dataplane: Dataplane) -> None:
        """Begin with nothing told to `dataplane`; `configured` is what the configuration allows."""
        self._configured = frozenset(configured)
        self._store = store
        self._dataplane = dataplane
        self._told: frozenset[Network] | None = None

    def by_hand(self) -> Iterator[Network]:
        """Return what was added and is not in the configuration."""
        return (prefix for prefix in self._store.allowed() if prefix not in self._configured)

    def fill(self) -> None:
        """Tell the kernel, if it has not been told; raise DataplaneError."""
        self._tell(self._configured.union(self._store.allowed()))

    def add(self, prefix: Network) -> None:
        """Let `prefix` in from now on; one that is in the list is no error.

        Raise DataError if the list is full, DataplaneError if the kernel refuses, StoreError.
        """
        known = self._configured.union(self._store.allowed())
        if prefix not in known and len(known) >= MAX_PREFIXES:
            raise DataError(f"the list has {len(known)} prefixes, and no more fit; join neighbours")
        with self._store.transaction():
            self._store.put_allowed(prefix)
        try:
            self.fill()
        except DataplaneError:
            if prefix not in known:
                self._forget(prefix)
            raise

    def delete(self, prefix: Network) -> None:
        """Let `prefix` in no more, unless another one contains it.

        Raise DataError if it was not added by hand, DataplaneError if the kernel refuses, StoreError.
        """
        if prefix in self._configured:
            raise DataError(f"{prefix} comes from ALWAYS_ALLOW; remove it there and reload")
        if prefix not in self._store.allowed():
            raise DataError(f"{prefix} is not in the list; `spale list allowlist` shows what is")
        # What ends leaves the kernel first.
        self._tell(self._configured.union(self._store.allowed()) - {prefix})
        self._forget(prefix)

    def _tell(self, wanted: frozenset[Network]) -> None:
        if wanted != self._told:
            self._dataplane.set_always_allow(wanted)
            self._told = wanted

    def _forget(self, prefix: Network) -> None:
        with self._store.transaction():
            self._store.delete_allowed(prefix)
