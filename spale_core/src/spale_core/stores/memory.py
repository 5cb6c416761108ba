# SPDX-License-Identifier: MIT
"""The grant store that forgets: everything is in memory, so every start counts as lost memory."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from spale_core.hookspecs import hookimpl
from spale_core.interfaces import StoreKind
from spale_core.replay import ReplayMemory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from spale_core.interfaces import StoreSettings
    from spale_core.model import Holding, Network, Service, Source, Tenure

_Key = tuple[str, "Source", "Service"]


class MemoryStore:
    """Holdings, tenures, allowed prefixes and replay memories, each in a dictionary."""

    memory_lost = True
    lost_unix_ms = 0

    def __init__(self, settings: StoreSettings) -> None:
        """Begin with nothing, as every start does."""
        self._max_skew_ms = settings.max_skew_s * 1000
        self._holdings: dict[_Key, Holding] = {}
        self._tenures: dict[_Key, Tenure] = {}
        self._allowed: dict[Network, None] = {}
        self._undo: list[Callable[[], None]] = []
        self._memories: dict[bytes, ReplayMemory] = {}

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Return a context that takes back what is held if it raises; what was remembered stays so."""
        self._undo.clear()
        try:
            yield
        except BaseException:
            for step in reversed(self._undo):
                step()
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

    def put_tenure(self, tenure: Tenure) -> None:
        """Record when a client held a grant."""
        self._set_tenure((tenure.client, tenure.source, tenure.service), tenure)

    def delete_tenure(self, client: str, source: Source, service: Service) -> None:
        """Forget a tenure; one that is not there is no error."""
        self._set_tenure((client, source, service), None)

    def tenures(self) -> Iterable[Tenure]:
        """Return every tenure."""
        return list(self._tenures.values())

    def put_allowed(self, prefix: Network) -> None:
        """Record that a prefix needs no knock."""
        self._set_allowed(prefix, is_allowed=True)

    def delete_allowed(self, prefix: Network) -> None:
        """Forget that; one that is not there is no error."""
        self._set_allowed(prefix, is_allowed=False)

    def allowed(self) -> Iterable[Network]:
        """Return every such prefix, the one that was put first in front."""
        return list(self._allowed)

    def close(self) -> None:
        """Do nothing: there is nowhere to write to."""

    def _new_memory(self, _client_key: bytes) -> ReplayMemory:
        return ReplayMemory(self._max_skew_ms)

    def _set(self, key: _Key, holding: Holding | None) -> None:
        self._undo.append(partial(self._set, key, self._holdings.pop(key, None)))
        if holding is not None:
            self._holdings[key] = holding

    def _set_tenure(self, key: _Key, tenure: Tenure | None) -> None:
        self._undo.append(partial(self._set_tenure, key, self._tenures.pop(key, None)))
        if tenure is not None:
            self._tenures[key] = tenure

    def _set_allowed(self, prefix: Network, *, is_allowed: bool) -> None:
        self._undo.append(partial(self._set_allowed, prefix, is_allowed=prefix in self._allowed))
        self._allowed.pop(prefix, None)
        if is_allowed:
            self._allowed[prefix] = None


@hookimpl
def spale_register_grant_stores() -> tuple[StoreKind, ...]:
    """Offer the store ``memory``."""
    return (StoreKind("memory", MemoryStore),)
