# SPDX-License-Identifier: MIT
"""The state file in its folder: found, judged, read, written, put aside, begun anew, or given up."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from spale_core.errors import StoreError
from spale_core.stores.database import Database, LockedError, NewerError
from spale_core.stores.statefolder import StateFolder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from spale_core.stores.database import Changes, Snapshot
    from spale_core.stores.rows import Header


class StateFile:
    """``spale.db``, as far as there is one; ``say(message)`` tells what was done to it."""

    def __init__(self, folder: Path, runtime: Path, say: Callable[[str], None]) -> None:
        """Take the paths; nothing is opened yet."""
        self._folder = StateFolder(folder, runtime)
        self._say = say
        self._database: Database | None = None
        self._is_known = False
        self.path = self._folder.path

    @property
    def is_open(self) -> bool:
        """Tell whether there is a file to write to."""
        return self._database is not None

    def read(self, now_unix_ms: int) -> Snapshot | None:
        """Open the file and return what it says; None if there is none, or none that can be used.

        Raise ConfigError, LockedError or NewerError if no daemon may run on it, OSError if there can be no
        new one either.
        """
        self._folder.open()
        try:
            if not self._folder.has_file():
                self._say(f"{self.path} is not there; it begins anew")
                return None
            self._database = Database(self.path)
            snapshot = self._database.load()
        except LockedError as error:
            raise LockedError(f"another process has {self.path} open ({error}); stop it") from error
        except NewerError as error:
            raise NewerError(
                f"{self.path}: {error}; install the newer spale again, or move the file away, and with it all"
                " grants and the memory of used knocks"
            ) from error
        except StoreError as error:
            self._put_aside(error, now_unix_ms)
            return None
        self._is_known = True
        return snapshot

    def write(self, changes: Changes, header: Header, *, synced: bool = False) -> None:
        """Write to the file, if there is one, what power loss may undo unless `synced`; raise StoreError."""
        if self._database is not None:
            self._database.write(changes, header, synced=synced)

    def renew(self, snapshot: Snapshot) -> None:
        """Put a new file that says `snapshot` in the place of the old; raise SpaleError or OSError."""
        self._folder.open()
        draft = self._folder.begin()
        try:
            Database.create(draft, snapshot)
            self._folder.finish(draft, snapshot.header.unix_ms)
        except (StoreError, OSError):
            self._folder.discard(draft)
            raise
        self._database = Database(self.path)
        self._database.load()
        self._is_known = True

    def give_up(self) -> str:
        """Let go of a file that cannot be written; return what the administrator has to do about it."""
        self._close_database()
        if self._folder.distrust(superseded=self._is_known):
            return ""
        return f"; remove {self.path} before the next start, which else believes it"

    def close(self) -> None:
        """Close the file and let the next daemon have the folder."""
        self._close_database()
        self._folder.close()

    def _put_aside(self, error: StoreError, now_unix_ms: int) -> None:
        """Move a file away that cannot be used; raise OSError if that is impossible."""
        self._close_database()
        try:
            aside = self._folder.put_aside(now_unix_ms)
        except OSError:
            self._say(f"{self.path} cannot be used: {error}")
            raise
        self._say(f"{self.path} cannot be used: {error}; it is now {aside}, and a new one begins")

    def _close_database(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            # What cannot be rolled back now is rolled back, or not believed, by the next start.
            with suppress(StoreError):
                database.close()
