# SPDX-License-Identifier: MIT
"""One daemon for each interface: a lock per interface, held for as long as the daemon lives.

It is the kernel's lock on an open file, which ends with the process however that ends. A file that is left
over locks nobody out (docs/adr/0070).
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spale_core.config.files import trusted_folder
from spale_core.config.mistakes import BadValueError
from spale_core.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FOLDER: Final = Path("/run/spale/locks")
"""On no disk: a lock means something only for as long as its network namespace lives."""

_PATIENCE_S: Final = 2.0
_PAUSE_S: Final = 0.02
_TEXT_MAX: Final = 256


@contextmanager
def held(interfaces: Mapping[int, str], name: str | None, folder: Path = FOLDER) -> Iterator[None]:
    """Hold the locks of `interfaces` (names by index) in this network namespace, for the daemon `name`.

    Raise UnavailableError, holding none, if another daemon has one of them, or if `folder` cannot be had or
    somebody else may write it.
    """
    namespace = Path("/proc/self/ns/net").stat().st_ino
    descriptors: dict[Path, int] = {}
    try:
        _prepare(folder)
        _clean(folder)
        for index, interface in sorted(interfaces.items()):
            path = folder / f"net{namespace}-if{index}.lock"
            descriptors[path] = _take(path, interface)
            _sign(descriptors[path], interface, name)
        yield
    finally:
        for path, descriptor in descriptors.items():
            # While it is still held, so that nobody can have it open and locked.
            with suppress(OSError):
                path.unlink(missing_ok=True)
            os.close(descriptor)


def _prepare(folder: Path) -> None:
    """Make the folder, for nobody else to enter; raise UnavailableError."""
    try:
        folder.parent.mkdir(mode=0o755, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        with trusted_folder(folder):
            pass
    except OSError as error:
        raise UnavailableError(f"the folder of locks {folder}: {error.strerror}") from error
    except BadValueError as error:
        raise UnavailableError(f"the folder of locks: {error}") from error


def _clean(folder: Path) -> None:
    """Remove the files of daemons that were killed, as far as that is possible."""
    for path in folder.glob("*.lock"):
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(path, descriptor):
                    path.unlink()
            finally:
                os.close(descriptor)


def _take(path: Path, interface: str) -> int:
    """Return the descriptor of the locked file; wait a little for the daemon that is just ending."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(path, descriptor):
                return descriptor
        except BlockingIOError:
            if time.monotonic() > deadline:
                holder = os.pread(descriptor, _TEXT_MAX, 0).decode(errors="replace").strip()
                os.close(descriptor)
                raise UnavailableError(
                    f"another daemon guards {interface}{f' ({holder})' if holder else ''}; stop it first"
                ) from None
        os.close(descriptor)
        time.sleep(_PAUSE_S)


def _is_at(path: Path, descriptor: int) -> bool:
    """Tell whether the locked file is still the one at `path`: its last holder removes it."""
    try:
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False


def _sign(descriptor: int, interface: str, name: str | None) -> None:
    """Write who has it, for the one who is refused."""
    words = f"process {os.getpid()}{f', --name {name}' if name else ''}, on {interface}\n"
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, words.encode(errors="replace"), 0)
