# SPDX-License-Identifier: MIT
"""One daemon for each interface: a lock per interface, held for as long as the daemon guards it.

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
    from collections.abc import Container, Iterator, Mapping

FOLDER: Final = Path("/run/spale/locks")
"""On no disk: a lock means something only for as long as its network namespace lives."""

_PATIENCE_S: Final = 2.0
_PAUSE_S: Final = 0.02
_TEXT_MAX: Final = 256


class Locks:
    """What one daemon has locked; interfaces are those of one network namespace, by their numbers."""

    def __init__(self, name: str | None, folder: Path) -> None:
        """Begin with none; the daemon `name` signs them."""
        self._name = name
        self._folder = folder
        self._namespace = Path("/proc/self/ns/net").stat().st_ino
        self._held: dict[int, int] = {}

    def take(self, index: int, interface: str, patience_s: float = 0.0) -> None:
        """Lock an interface, if that was not done already.

        Raise UnavailableError if another daemon has it, which may be just ending, after `patience_s`; OSError
        if nobody could have it now.
        """
        if index not in self._held:
            self._held[index] = _take(self._path(index), interface, patience_s)
            _sign(self._held[index], interface, self._name)

    def keep(self, indices: Container[int]) -> None:
        """Let go of all others."""
        for index in [index for index in self._held if index not in indices]:
            # While it is still held, so that nobody can have it open and locked.
            with suppress(OSError):
                self._path(index).unlink(missing_ok=True)
            os.close(self._held.pop(index))

    def _path(self, index: int) -> Path:
        return self._folder / f"net{self._namespace}-if{index}.lock"


@contextmanager
def held(interfaces: Mapping[int, str], name: str | None, folder: Path = FOLDER) -> Iterator[Locks]:
    """Hold the locks of `interfaces` (names by index) in this network namespace, for the daemon `name`.

    Raise UnavailableError, holding none, if another daemon has one of them, or if `folder` cannot be had or
    somebody else may write it.
    """
    locks = Locks(name, folder)
    _prepare(folder)
    _clean(folder)
    try:
        for index, interface in sorted(interfaces.items()):
            locks.take(index, interface, _PATIENCE_S)
        yield locks
    finally:
        locks.keep(())


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


def _take(path: Path, interface: str, patience_s: float) -> int:
    """Return the descriptor of the locked file; wait a little for the daemon that is just ending."""
    deadline = time.monotonic() + patience_s
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
