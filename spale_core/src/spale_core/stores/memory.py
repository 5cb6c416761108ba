# SPDX-License-Identifier: MIT
"""The grant store that forgets: everything is in memory, so every start counts as lost memory."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from spale_core.hookspecs import hookimpl
from spale_core.interfaces import StoreKind
from spale_core.replay import ReplayMemory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from spale_core.interfaces import StoreSettings
    from spale_core.model import Holding, Service, Source

_Key = tuple[str, "Source", "Service"]


class MemoryStore:
    """Holdings and replay memories in two dictionaries."""

    memory_lost = True
    lost_unix_ms = 0

    def __init__(self, settings: StoreSettings) -> None:
        """Begin with nothing, as every start does."""
        self._max_skew_ms = settings.max_skew_s * 1000
        self._holdings: dict[_Key, Holding] = {}
        self._before: list[tuple[_Key, Holding | None]] = []
        self._memories: dict[bytes, ReplayMemory] = {}

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Return a context that takes the holdings back if it raises; what was remembered stays so."""
        self._before.clear()
        try:
            yield
        except BaseException:
            for key, holding in reversed(self._before):
                self._set(key, holding)
            raise

    def remember(self, client_key: bytes, enc: bytes, unix_ms: int, now_unix_ms: int) -> bool:
        """Record a datagram of the client with that key; return False if it is a replay."""
        memory = self._memories.get(client_key)
        if memory is None:
            memory = self._memories[client_key] = self._new_memory(client_key)
        return memory.remember(enc, unix_ms, now_unix_ms)

    def identities(self) -> Iterable[bytes]:
        """Return every `enc` that is remembered."""
        return [enc for memory in self._memories.values() for enc, _ in memory]

    def put(self, holding: Holding) -> None:
        """Record that a client holds a grant."""
        grant = holding.grant
        self._set((holding.client, grant.source, grant.service), holding)

    def delete(self, client: str, source: Source, service: Service) -> None:
        """Forget a holding; one that is not there is no error."""
        self._set((client, source, service), None)

    def live(self) -> Iterable[Holding]:
        """Return every holding."""
        return list(self._holdings.values())

    def close(self) -> None:
        """Do nothing: there is nowhere to write to."""

    def _new_memory(self, _client_key: bytes) -> ReplayMemory:
        return ReplayMemory(self._max_skew_ms)

    def _set(self, key: _Key, holding: Holding | None) -> None:
        self._before.append((key, self._holdings.pop(key, None)))
        if holding is not None:
            self._holdings[key] = holding


@hookimpl
def spale_register_grant_stores() -> tuple[StoreKind, ...]:
    """Offer the store ``memory``."""
    return (StoreKind("memory", MemoryStore),)
