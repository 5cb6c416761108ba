# SPDX-License-Identifier: MIT
"""The management socket in the file system: whose it is, who may connect, and what is left of it.

A lock beside it tells whether the daemon that made it still lives (docs/adr/0092).
"""

from __future__ import annotations

import fcntl
import grp
import os
import socket
import stat
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Final

from spale_core.config.files import trusted_folder
from spale_core.config.mistakes import BadValueError
from spale_core.errors import PermissionDeniedError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BACKLOG: Final = 128
_OWNERS_ONLY: Final = 0o177
_MEMBERS: Final = 0o660
_FOLDER_MODE: Final = 0o755
_PATIENCE_S: Final = 2.0
_PAUSE_S: Final = 0.02


@contextmanager
def bound(path: Path, group: int | None) -> Iterator[socket.socket]:
    """Listen at `path` while entered, in place of what a daemon that is gone has left there.

    Members of `group` may connect. Raise UnavailableError if another daemon has it, or it cannot be had,
    PermissionDeniedError if that is not for us to do.
    """
    with ExitStack() as stack:
        try:
            _make_folder(path.parent)
            stack.enter_context(_locked(path))
            listening = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            _bind(listening, path, group)
            stack.callback(_remove, path, path.lstat())
        except BadValueError as error:
            raise UnavailableError(f"the management socket: {error}") from error
        except PermissionError as error:
            raise PermissionDeniedError(f"the management socket {path}: {error.strerror}") from error
        except OSError as error:
            raise UnavailableError(f"the management socket {path}: {error.strerror or error}") from error
        yield listening


def group_number(name: str | None) -> int | None:
    """Return the number of the group `name`; raise UnavailableError if it is gone."""
    try:
        return None if name is None else grp.getgrnam(name).gr_gid
    except KeyError as error:
        raise UnavailableError(f"SOCKET_GROUP: there is no group {name!r} any more") from error


def _make_folder(folder: Path) -> None:
    """Make the folder if there is none; raise BadValueError if others may write it."""
    before = os.umask(0o777 & ~_FOLDER_MODE)
    try:
        folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    finally:
        os.umask(before)
    with trusted_folder(folder):
        pass


def _bind(listening: socket.socket, path: Path, group: int | None) -> None:
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise UnavailableError(f"the management socket: {path} is there and is no socket; move it away")
        path.unlink()
    before = os.umask(_OWNERS_ONLY)
    try:
        listening.bind(str(path))
    finally:
        os.umask(before)
    if group is not None:
        os.chown(path, -1, group, follow_symlinks=False)
        path.chmod(_MEMBERS)
    listening.listen(_BACKLOG)
    listening.settimeout(0)


def _remove(path: Path, ours: os.stat_result) -> None:
    """Remove the socket, if it is still ours."""
    with suppress(OSError):
        if os.path.samestat(path.lstat(), ours):
            path.unlink()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock beside `path`; wait a little for a daemon that is just ending."""
    lock = path.with_name(f"{path.name}.lock")
    deadline_s = time.monotonic() + _PATIENCE_S
    while (descriptor := _lock(lock)) is None:
        if time.monotonic() > deadline_s:
            raise UnavailableError(
                f"another daemon has the management socket {path}; give this one a --name, or another SOCKET"
            )
        time.sleep(_PAUSE_S)
    try:
        yield
    finally:
        # While it is held, so that nobody can have it locked who opened it before.
        with suppress(OSError):
            lock.unlink()
        os.close(descriptor)


def _lock(path: Path) -> int | None:
    """Return the descriptor of the locked file; None if somebody else has it, or just had it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(path.lstat(), os.fstat(descriptor)):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None
