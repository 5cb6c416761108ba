# SPDX-License-Identifier: MIT
"""The grant store that survives: what the memory store knows, and a state file that says the same.

Every question is answered from memory; each transaction that changes something is in the file before it ends.
So a disk that fails costs what comes after the daemon, never the daemon (docs/adr/0062-a-disk-that-fails.md).
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from spale_core.errors import SpaleError
from spale_core.hookspecs import hookimpl
from spale_core.interfaces import StoreKind
from spale_core.replay import ReplayMemory
from spale_core.stores import rows
from spale_core.stores.database import Changes, Snapshot
from spale_core.stores.hosttime import HostTime
from spale_core.stores.memory import MemoryStore
from spale_core.stores.rows import Header
from spale_core.stores.statefile import StateFile
from spale_core.stores.statefolder import RUNTIME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from spale_core.interfaces import StoreSettings
    from spale_core.model import Holding, Network, Service, Source, Tenure
    from spale_core.stores.hosttime import StoreClock

_RETRY_NS: Final = 60_000_000_000
"""How often a disk that has failed is tried again, and how often it is said that it has."""


class SqliteStore(MemoryStore):
    """Holdings, tenures, allowed prefixes and replay memories, in memory and in ``spale.db``."""

    def __init__(
        self, settings: StoreSettings, clock: StoreClock | None = None, runtime: Path = RUNTIME
    ) -> None:
        """Take over what the state file says; raise StoreError or ConfigError if no daemon may run on it.

        A file that is missing, damaged or unreadable, or that was not closed before a reboot, is no reason
        not to run: then the memory is lost.
        """
        super().__init__(settings)
        self._say = settings.say
        self._clock = clock or HostTime()
        self._boot_id = self._clock.boot_id()
        self._file = StateFile(settings.state_dir, runtime, settings.say)
        self._changes = Changes()
        self._now = self._clock.read()
        self._suspended_ns = self._now.suspended_ns(0)
        self._retry_ns = 0
        self.memory_lost = False
        try:
            self._start()
        except BaseException:
            self._file.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Return a context at whose end all changes are in the file; if it raises, no holding is changed."""
        self._look_at_the_clock()
        with super().transaction():
            yield
        self._flush()

    def remember(self, client_key: bytes, enc: bytes, unix_ms: int, now_unix_ms: int) -> bool:
        """Record a datagram of the client with that key; return False if it is a replay."""
        is_new = super().remember(client_key, enc, unix_ms, now_unix_ms)
        if is_new and enc in self._memories[client_key]:
            self._changes.used[client_key, enc] = (rows.signed(unix_ms),)
        return is_new

    def close(self) -> None:
        """Write that nothing comes after this, so that a reboot may; the last try if the disk has failed."""
        self._look_at_the_clock()
        with suppress(SpaleError, OSError):
            if self._file.is_open:
                self._file.write(self._changes, self._header(clean=True))
            else:
                self._file.renew(self._snapshot(clean=True))
        self._file.close()

    def _start(self) -> None:
        """Read what there is, and see to it that the file says from now on that a daemon runs on it."""
        try:
            snapshot = self._file.read(self._now.unix_ms)
        except OSError as error:
            self._lose_memory()
            self._go_on_in_memory(error)
            return
        if snapshot is None:
            self._lose_memory()
        else:
            self._take_over(snapshot)
        try:
            if self._file.is_open:
                # Or power loss brings the clean end of the daemon before back (docs/adr/0080).
                self._file.write(self._changes, self._header(), synced=True)
            else:
                self._file.renew(self._snapshot())
        except (SpaleError, OSError) as error:
            self._go_on_in_memory(error)
        self._changes = Changes()

    def _take_over(self, snapshot: Snapshot) -> None:
        """Make what the file says what we know."""
        header = snapshot.header
        self.lost_unix_ms = header.lost_unix_ms
        if not header.is_trusted(self._boot_id):
            self._lose_memory()
            self._say(f"{self._file.path} was not closed before the machine stopped; changes may be missing")
        used: dict[bytes, list[tuple[bytes, int]]] = {}
        for client_key, enc, unix_ms in snapshot.used:
            used.setdefault(client_key, []).append((enc, rows.unsigned(unix_ms)))
        marks = {client_key: rows.unsigned(unix_ms) for client_key, unix_ms in snapshot.marks}
        for client_key in used.keys() | marks.keys():
            self._memories[client_key] = self._new_memory(
                client_key, marks.get(client_key, 0), used.get(client_key, ())
            )
        self._take_over_holdings(snapshot)

    def _take_over_holdings(self, snapshot: Snapshot) -> None:
        same_boot = snapshot.header.boot_id == self._boot_id
        if same_boot:
            self._suspended_ns = self._now.suspended_ns(snapshot.header.suspended_ns)
        shift_ns = snapshot.header.shift_ns(self._boot_id, self._now, self._suspended_ns)
        # In the same boot rows stay as they are; another one writes all of them in its own time.
        take = super()._set if same_boot else self._set
        for row in snapshot.holdings:
            # What an interface's index means, only its own boot knows.
            if shift_ns is None or (row[rows.IFINDEX] and not same_boot):
                self._changes.holdings[row[: rows.HOLDING_KEY]] = None
                continue
            holding = rows.holding(row, shift_ns)
            take((holding.client, holding.grant.source, holding.grant.service), holding)
        for row in snapshot.tenures:
            if same_boot:
                tenure = rows.tenure(row)
                super()._set_tenure((tenure.client, tenure.source, tenure.service), tenure)
            else:
                self._changes.tenures[row[: rows.HOLDING_KEY]] = None
        for row in snapshot.allowed:
            super()._set_allowed(rows.allowed(row), is_allowed=True)

    def _lose_memory(self) -> None:
        # Until it let go of the folder, a moment ago, another daemon may have taken knocks.
        self._look_at_the_clock()
        self.memory_lost, self.lost_unix_ms = True, self._now.unix_ms

    def _flush(self) -> None:
        """Write what has changed, and while something is held, at least what time it is."""
        if not self._file.is_open:
            self._try_again()
        elif self._changes or self._holdings:
            try:
                # A prefix that was taken from the list must not be back after power loss: it has no end.
                self._file.write(self._changes, self._header(), synced=bool(self._changes.allowed))
            except SpaleError as error:
                self._go_on_in_memory(error)
        self._changes = Changes()

    def _go_on_in_memory(self, error: Exception) -> None:
        """Give the file up for now, say so, and see to it that nobody believes what is left of it."""
        self._retry_ns = self._now.boottime_ns + _RETRY_NS
        to_do = self._file.give_up()
        self._say(
            f"{self._file.path} cannot be written: {error}; going on in memory, what is granted and used is"
            f" forgotten when this daemon ends{to_do}"
        )

    def _try_again(self) -> None:
        """Write everything to a new file, once a minute while there is none."""
        if self._now.boottime_ns < self._retry_ns:
            return
        try:
            self._file.renew(self._snapshot())
        except (SpaleError, OSError) as error:
            self._go_on_in_memory(error)
        else:
            self._say(f"{self._file.path} is written again")

    def _look_at_the_clock(self) -> None:
        self._now = self._clock.read()
        self._suspended_ns = self._now.suspended_ns(self._suspended_ns)

    def _header(self, *, clean: bool = False) -> Header:
        return Header(
            boot_id=self._boot_id,
            clean=clean,
            unix_ms=self._now.unix_ms,
            boottime_ns=self._now.boottime_ns,
            suspended_ns=self._suspended_ns,
            lost_unix_ms=self.lost_unix_ms,
        )

    def _snapshot(self, *, clean: bool = False) -> Snapshot:
        """Return all that is known, as rows."""
        return Snapshot(
            self._header(clean=clean),
            [(*rows.holding_key(*key), *self._values(held)) for key, held in self._holdings.items()],
            [
                (client_key, enc, rows.signed(unix_ms))
                for client_key, memory in self._memories.items()
                for enc, unix_ms in memory
            ],
            [(client_key, rows.signed(m.mark_unix_ms)) for client_key, m in self._memories.items()],
            [(*rows.holding_key(*key), *rows.tenure_values(held)) for key, held in self._tenures.items()],
            [rows.allowed_key(prefix) for prefix in self._allowed],
        )

    def _values(self, holding: Holding) -> rows.Row:
        return rows.holding_values(holding.grant, self._suspended_ns)

    def _new_memory(
        self, client_key: bytes, mark_unix_ms: int = 0, entries: Iterable[tuple[bytes, int]] = ()
    ) -> ReplayMemory:
        def forget(enc: bytes) -> None:
            self._changes.used[client_key, enc] = None
            self._changes.marks[(client_key,)] = (rows.signed(memory.mark_unix_ms),)

        memory = ReplayMemory(self._max_skew_ms, mark_unix_ms=mark_unix_ms, entries=entries, on_forget=forget)
        return memory

    def _set(self, key: tuple[str, Source, Service], holding: Holding | None) -> None:
        super()._set(key, holding)
        values = None if holding is None else self._values(holding)
        self._changes.holdings[rows.holding_key(*key)] = values

    def _set_tenure(self, key: tuple[str, Source, Service], tenure: Tenure | None) -> None:
        super()._set_tenure(key, tenure)
        values = None if tenure is None else rows.tenure_values(tenure)
        self._changes.tenures[rows.holding_key(*key)] = values

    def _set_allowed(self, prefix: Network, *, is_allowed: bool) -> None:
        super()._set_allowed(prefix, is_allowed=is_allowed)
        self._changes.allowed[rows.allowed_key(prefix)] = () if is_allowed else None


@hookimpl
def spale_register_grant_stores() -> tuple[StoreKind, ...]:
    """Offer the store ``sqlite``."""
    return (StoreKind("sqlite", SqliteStore),)
