# SPDX-License-Identifier: MIT
"""The folder of what survives a restart: one daemon's at a time, and nobody else's to enter.

A file that must not be trusted any more is moved aside under a name with the time. Where that is impossible,
because the file system is read-only or broken, a mark outside says so, until a new file has taken its place.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Final

from spale_core.config.files import trusted_folder
from spale_core.config.mistakes import BadValueError
from spale_core.errors import ConfigError
from spale_core.stores.database import DamagedError, LockedError

RUNTIME: Final = Path("/run/spale")
"""Where marks are: on no disk, and gone with the boot, as is the trust in a file that was never synced."""

_NAME: Final = "spale.db"
_OURS: Final = "spale."
_PATIENCE_S: Final = 2.0
_PAUSE_S: Final = 0.02
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_WRITABLE: Final = stat.S_IWGRP | stat.S_IWOTH


class StateFolder:
    """The folder, once it is open and locked, and the files in it."""

    def __init__(self, path: Path, runtime: Path = RUNTIME) -> None:
        """Take the folder's path; `open` comes first."""
        self._folder = path
        self._descriptor: int | None = None
        name = blake2b(os.fsencode(path), digest_size=8).hexdigest()
        self._mark = runtime / f"{name}.stale"
        self.path = path / _NAME

    def open(self) -> None:
        """Make the folder if it is missing, and lock it; do nothing if it is open.

        Raise ConfigError if somebody else may write it, LockedError if a daemon has it, OSError if it cannot
        be had.
        """
        if self._descriptor is not None:
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with trusted_folder(self._folder) as folder:
                descriptor = os.dup(folder)
        except BadValueError as error:
            raise ConfigError(f"STATE_DIR: {error}") from error
        try:
            _make_private(descriptor, self._folder)
            _lock(descriptor, self._folder)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def close(self) -> None:
        """Let the next daemon have it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def has_file(self) -> bool:
        """Tell whether there is a state file.

        Raise ConfigError if somebody else may write it, DamagedError if it is a file of another kind or one
        that must not be trusted.
        """
        there = [_is_ours(path) for path in (self.path, _journal(self.path))]
        if there[0] and os.path.lexists(self._mark):
            raise DamagedError("it is from before a daemon that could not write it")
        return there[0]

    def put_aside(self, unix_ms: int) -> Path:
        """Rename the state file, and return its new name; raise OSError."""
        moment = datetime.fromtimestamp(unix_ms / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
        aside = self.path.with_name(f"{_NAME}.damaged-{moment}")
        while os.path.lexists(aside):
            aside = aside.with_name(f"{aside.name}-again")
        # The journal first: it must never be taken for the next file's.
        with suppress(FileNotFoundError):
            _journal(self.path).rename(_journal(aside))
        return self.path.rename(aside)

    def distrust(self, *, superseded: bool) -> bool:
        """See to it that no later start believes the state file; tell whether that is certain.

        One that is `superseded` holds nothing that is not known, and goes.
        """
        if self._descriptor is not None and not os.path.lexists(self.path):
            return True
        if self._descriptor is None or not superseded:
            return self._say_outside()
        try:
            self.path.unlink(missing_ok=True)
            _journal(self.path).unlink(missing_ok=True)
            # Or it is there again after a power loss.
            os.fsync(self._descriptor)
        except OSError:
            return self._say_outside()
        return True

    def begin(self) -> Path:
        """Return the path of an empty file that is to become the state file; raise OSError."""
        draft = self.path.with_name(f"{_NAME}.new")
        for left in (draft, _journal(draft)):
            left.unlink(missing_ok=True)
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        return draft

    def finish(self, draft: Path, unix_ms: int) -> None:
        """Make `draft` the state file; raise OSError. One that is in its place is put aside."""
        if os.path.lexists(self.path):
            self.put_aside(unix_ms)
        _journal(self.path).unlink(missing_ok=True)
        draft.replace(self.path)
        if self._descriptor is not None:
            os.fsync(self._descriptor)
        self._mark.unlink(missing_ok=True)

    def discard(self, draft: Path) -> None:
        """Remove a `draft` that did not become the state file, as far as that is possible."""
        for left in (draft, _journal(draft)):
            with suppress(OSError):
                left.unlink()

    def _say_outside(self) -> bool:
        """Say outside of the folder that its file must not be trusted; tell whether it could be said."""
        try:
            self._mark.parent.mkdir(mode=0o755, exist_ok=True)
            with trusted_folder(self._mark.parent):
                self._mark.write_bytes(os.fsencode(self._folder) + b"\n")
        except (OSError, BadValueError):
            return False
        return True


def _journal(path: Path) -> Path:
    return path.with_name(f"{path.name}-journal")


def _is_ours(path: Path) -> bool:
    """Tell whether `path` is there; raise as `StateFolder.has_file` does."""
    try:
        # The folder is nobody else's, so what is judged is what will be opened.
        status = path.lstat()
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(status.st_mode):
        raise DamagedError(f"{path.name} is no regular file")
    if status.st_uid not in {0, os.geteuid()}:
        raise ConfigError(f"STATE_DIR: {path} belongs to uid {status.st_uid}; chown it, or move it away")
    mode = stat.S_IMODE(status.st_mode)
    if mode & _WRITABLE:
        raise ConfigError(f"STATE_DIR: {path} may be written by others (mode {mode:04o}); chmod go-w {path}")
    return True


def _make_private(folder: int, path: Path) -> None:
    """Let nobody else enter the folder, unless it is for other things too: that is a mistake."""
    status = os.fstat(folder)
    mode = stat.S_IMODE(status.st_mode)
    if not mode & _OTHERS:
        return
    if status.st_uid != os.geteuid() or any(not name.startswith(_OURS) for name in os.listdir(folder)):
        raise ConfigError(
            f"STATE_DIR: {path} may be entered by others (mode {mode:04o}), and is not spale's alone; chmod"
            " go= it, or name a folder of its own"
        )
    with suppress(OSError):
        os.fchmod(folder, 0o700)


def _lock(folder: int, path: Path) -> None:
    """Lock the folder, and wait a little for the daemon that is just ending."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise LockedError(
                    f"another daemon has the state folder {path}; stop it, or give this one its own STATE_DIR"
                ) from None
        else:
            return
        time.sleep(_PAUSE_S)
