# SPDX-License-Identifier: MIT
"""The state file as a database: rows in and out in whole transactions, and a sum that finds what is missing.

Written with a rollback journal, not a WAL, and synced once, at each start (docs/adr/0060 and 0080): after a
crash of the daemon the file is whole, after one of the machine it is not trusted.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from attrs import astuple, define, field, frozen

from spale_core.errors import StoreError
from spale_core.stores import rows
from spale_core.stores.rows import Header, Row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VERSION: Final = 3
"""What `PRAGMA user_version` says; a file with a higher one is from a newer spale."""

_FIRST: Final = 1
_APPLICATION_ID: Final = 0x7370616C  # "spal"
_MODULUS: Final = 2**63
_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_DISK: Final = frozenset(
    {
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)
_SETTINGS: Final = (
    "locking_mode = EXCLUSIVE",
    "synchronous = OFF",
    "cell_size_check = ON",
    "trusted_schema = OFF",
    "temp_store = MEMORY",
    "journal_size_limit = 1048576",
)
_SCHEMA: Final = """
    BEGIN;
    CREATE TABLE header (
        id INTEGER PRIMARY KEY, boot_id TEXT, clean INTEGER, unix_ms INTEGER, boottime_ns INTEGER,
        suspended_ns INTEGER, lost_unix_ms INTEGER, checksum INTEGER);
    CREATE TABLE holdings (
        client TEXT, source BLOB, ifindex INTEGER, protocol INTEGER, port INTEGER, last_boottime_ns INTEGER,
        idle_ns INTEGER, grace_ns INTEGER, end_boottime_ns INTEGER,
        PRIMARY KEY (client, source, ifindex, protocol, port)) WITHOUT ROWID;
    CREATE TABLE used (
        client_key BLOB, enc BLOB, unix_ms INTEGER, PRIMARY KEY (client_key, enc)) WITHOUT ROWID;
    CREATE TABLE marks (client_key BLOB PRIMARY KEY, unix_ms INTEGER) WITHOUT ROWID;
"""
_ADDED: Final = {
    2: """
    CREATE TABLE tenures (
        client TEXT, source BLOB, ifindex INTEGER, protocol INTEGER, port INTEGER, spans BLOB,
        PRIMARY KEY (client, source, ifindex, protocol, port)) WITHOUT ROWID""",
    3: """
    CREATE TABLE allowed (address BLOB, length INTEGER, PRIMARY KEY (address, length)) WITHOUT ROWID""",
}
"""What came with each later version."""

_INSERT: Final = {
    "holdings": "INSERT OR REPLACE INTO holdings VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "tenures": "INSERT OR REPLACE INTO tenures VALUES (?, ?, ?, ?, ?, ?)",
    "allowed": "INSERT OR REPLACE INTO allowed VALUES (?, ?)",
    "used": "INSERT OR REPLACE INTO used VALUES (?, ?, ?)",
    "marks": "INSERT OR REPLACE INTO marks VALUES (?, ?)",
}
_DELETE: Final = {
    "holdings": """DELETE FROM holdings
        WHERE client = ? AND source = ? AND ifindex = ? AND protocol = ? AND port = ?""",
    "tenures": """DELETE FROM tenures
        WHERE client = ? AND source = ? AND ifindex = ? AND protocol = ? AND port = ?""",
    "allowed": "DELETE FROM allowed WHERE address = ? AND length = ?",
    "used": "DELETE FROM used WHERE client_key = ? AND enc = ?",
    "marks": "DELETE FROM marks WHERE client_key = ?",
}


class DamagedError(StoreError):
    """The file is not what was written."""


class DiskError(StoreError):
    """The file cannot be read or written."""


class LockedError(StoreError):
    """Somebody else has the file open."""


class NewerError(StoreError):
    """A newer spale wrote the file."""


Key = tuple[str | bytes | int, ...]
"""The columns that name a row of a table."""

_Table = dict[Key, Row | None]


@frozen
class Snapshot:
    """All that a file says; times of datagrams are `rows.signed`."""

    header: Header
    holdings: list[Row] = field(factory=list)
    used: list[tuple[bytes, bytes, int]] = field(factory=list)
    marks: list[tuple[bytes, int]] = field(factory=list)
    tenures: list[Row] = field(factory=list)
    allowed: list[tuple[bytes, int]] = field(factory=list)


@define
class Changes:
    """What one transaction changes, by the columns that name a row: the others, None if it is gone."""

    holdings: _Table = field(factory=dict)
    used: _Table = field(factory=dict)
    marks: _Table = field(factory=dict)
    tenures: _Table = field(factory=dict)
    allowed: _Table = field(factory=dict)

    @classmethod
    def to(cls, snapshot: Snapshot) -> Changes:
        """Return what makes an empty file say what `snapshot` does."""
        return cls(
            holdings={row[:5]: row[5:] for row in snapshot.holdings},
            used={row[:2]: row[2:] for row in snapshot.used},
            marks={row[:1]: row[1:] for row in snapshot.marks},
            tenures={row[:5]: row[5:] for row in snapshot.tenures},
            allowed=dict.fromkeys(snapshot.allowed, ()),
        )

    def __bool__(self) -> bool:
        """Tell whether anything changes."""
        return any(changed for _, changed in self.tables())

    def tables(self) -> tuple[tuple[str, _Table], ...]:
        """Return each table's name with its changes."""
        return (
            ("holdings", self.holdings),
            ("used", self.used),
            ("marks", self.marks),
            ("tenures", self.tenures),
            ("allowed", self.allowed),
        )


class Database:
    """An open state file. After an error it is of no use but to be closed."""

    def __init__(self, path: Path, *, journal: str = "PERSIST") -> None:
        """Open a file that is there; raise StoreError."""
        self._sums: dict[Key, int] = {}
        self._total = 0
        self._version = VERSION
        with _explained():
            self._connection = sqlite3.connect(os.fspath(path), timeout=0, isolation_level=None)
        try:
            with _explained():
                for setting in (*_SETTINGS, f"journal_mode = {journal}"):
                    self._connection.execute(f"PRAGMA {setting}")
        except StoreError:
            self._connection.close()
            raise

    @classmethod
    def create(cls, path: Path, snapshot: Snapshot) -> None:
        """Write `snapshot` to the empty file `path`; raise StoreError."""
        database = cls(path, journal="OFF")
        try:
            with _explained():
                database._connection.executescript(_SCHEMA)
                for table in _ADDED.values():
                    database._connection.execute(table)
                database._put(Changes.to(snapshot), snapshot.header)
                database._connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                database._connection.execute(f"PRAGMA user_version = {VERSION}")
                database._connection.execute("COMMIT")
        finally:
            database.close()

    def load(self) -> Snapshot:
        """Return what the file says, and check that it is all of it; raise StoreError."""
        with _explained():
            self._check_version()
            self._connection.execute("BEGIN")
            if self._select("PRAGMA quick_check(1)") != [("ok",)]:
                raise DamagedError("its pages do not fit together")
            *header, checksum = self._select("SELECT * FROM header WHERE id = 0")[0][1:]
            snapshot = Snapshot(
                Header(*header),
                self._select("SELECT * FROM holdings"),
                self._select("SELECT * FROM used"),
                self._select("SELECT * FROM marks"),
                self._select_added("tenures", 2),
                self._select_added("allowed", 3),
            )
            self._connection.execute("COMMIT")
            self._note(Changes.to(snapshot))
            if checksum != self._checksum(snapshot.header):
                raise DamagedError("its rows are not those that were written")
        return snapshot

    def write(self, changes: Changes, header: Header, *, synced: bool = False) -> None:
        """Make `changes` in one transaction, which power loss may undo unless `synced`; raise StoreError."""
        with _explained():
            if synced:
                self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("BEGIN IMMEDIATE")
            self._upgrade()
            self._put(changes, header)
            self._connection.execute("COMMIT")
            if synced:
                self._connection.execute("PRAGMA synchronous = OFF")

    def close(self) -> None:
        """Close the file, in the middle of a transaction too."""
        # The journal would be rolled back, which may fail; the next start does it then.
        self._connection.close()

    def _upgrade(self) -> None:
        """Make a file that an older spale wrote one of ours; what is in it means the same."""
        # Not when it is read: it may be on a disk that cannot be written.
        missing = [table for version, table in _ADDED.items() if version > self._version]
        for table in missing:
            self._connection.execute(table)
        if missing:
            self._connection.execute(f"PRAGMA user_version = {VERSION}")
            self._version = VERSION

    def _check_version(self) -> None:
        if self._select("PRAGMA application_id") != [(_APPLICATION_ID,)]:
            raise DamagedError("it is no state file of spale")
        ((version,),) = self._select("PRAGMA user_version")
        self._version = version
        if version > VERSION:
            raise NewerError(f"it has version {version}, and this spale knows none after {VERSION}")
        if version < _FIRST:
            raise DamagedError(f"its version is {version}, which never was")

    def _select(self, statement: str) -> list[Any]:
        return self._connection.execute(statement).fetchall()

    def _select_added(self, table: str, since: int) -> list[Any]:
        """Return the rows of a table that there is since version `since`."""
        return self._select(f"SELECT * FROM {table}") if self._version >= since else []  # noqa: S608 - a name of ours

    def _put(self, changes: Changes, header: Header) -> None:
        self._note(changes)
        for table, changed in changes.tables():
            new = [(*key, *values) for key, values in changed.items() if values is not None]
            gone = [key for key, values in changed.items() if values is None]
            self._connection.executemany(_INSERT[table], new)
            self._connection.executemany(_DELETE[table], gone)
        row = (0, *astuple(header), self._checksum(header))
        self._connection.execute("INSERT OR REPLACE INTO header VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def _note(self, changes: Changes) -> None:
        """Keep the sum over all rows up to date."""
        for table, changed in changes.tables():
            for key, values in changed.items():
                name = (table, *key)
                self._total -= self._sums.pop(name, 0)
                if values is not None:
                    self._sums[name] = rows.checksum(table, (*key, *values))
                    self._total += self._sums[name]

    def _checksum(self, header: Header) -> int:
        return (self._total + rows.checksum("header", astuple(header))) % _MODULUS


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what SQLite, or a file with something else in it, raises into an error of ours."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        kind = LockedError if code in _BUSY else DiskError if code in _DISK else DamagedError
        raise kind(str(error)) from error
    except (IndexError, TypeError, ValueError) as error:
        raise DamagedError("it says what no spale would write") from error
