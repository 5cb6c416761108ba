# SPDX-License-Identifier: MIT
"""Write files that were not there before: all of them, each whole, with its mode from the first moment."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from spale_core.config.mistakes import shown
from spale_core.errors import CannotCreateError, PermissionDeniedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

PRIVATE = 0o600
PUBLIC = 0o644

_HAS_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
"""What file systems without hard links say, such as FAT, on Linux, macOS and Windows."""


@frozen
class NewFile:
    """A file to be; the umask may narrow its `mode`, but has no say in that of a PRIVATE one."""

    path: Path
    content: bytes = field(repr=False)
    mode: int


def write_all(
    files: Sequence[NewFile], *, overwrite: bool = False, link: Callable[[Path, Path], None] = os.link
) -> None:
    """Write `files`, all or, where nothing is overwritten, none; nobody ever sees a part of one.

    Nothing that exists is touched before all the content is on the disk. `link` makes hard links.
    Raise CannotCreateError, among others for a file that exists unless `overwrite`, or PermissionDeniedError.
    """
    with ExitStack() as drafts, ExitStack() as placed:
        written = [(file.path, drafts.enter_context(_draft(file))) for file in files]
        if overwrite:
            _replace(written)
            return
        for path, draft in written:
            with explained(path):
                _take_name(draft, path, link)
                placed.callback(path.unlink)
        placed.pop_all()


def make_folder(path: Path, mode: int) -> None:
    """Make a folder and its parents, all with `mode`, unless it exists; raise as `write_all` does."""
    if path.exists() and not path.is_dir():
        raise CannotCreateError(f"{shown(path)} is no folder; name one")
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    with explained(path):
        for folder in reversed(missing):
            folder.mkdir(mode=mode, exist_ok=True)


def _replace(written: Sequence[tuple[Path, Path]]) -> None:
    """Put each draft in the place of what has its path, in one step."""
    for path, _ in written:
        # The one thing that cannot be replaced; found out before the first is.
        if path.is_dir() and not path.is_symlink():
            raise CannotCreateError(f"{shown(path)} is a folder; move it away")
    for path, draft in written:
        with explained(path):
            draft.replace(path)


def _take_name(draft: Path, path: Path, link: Callable[[Path, Path], None]) -> None:
    """Give the file `draft` the name `path`, which nothing may have yet. Raise OSError."""
    try:
        # A hard link, unlike a rename, refuses to take an existing name.
        link(draft, path)
    except OSError as error:
        if error.errno not in _HAS_NO_LINKS:
            raise
        # An empty file takes the name, as nobody else can then, and the draft takes its place.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE))
        try:
            draft.replace(path)
        except OSError:
            path.unlink()
            raise


@contextmanager
def _draft(file: NewFile) -> Iterator[Path]:
    """Write `file` under a name of its own beside the final one, and remove that name in the end."""
    path = file.path.with_name(f".{file.path.name}.{secrets.token_hex(8)}")
    with explained(file.path):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, file.mode)
    try:
        with explained(file.path), os.fdopen(descriptor, "wb") as stream:
            if file.mode == PRIVATE and hasattr(os, "fchmod"):
                # Never wider than it was made: only what an odd umask took away comes back.
                os.fchmod(descriptor, PRIVATE)
            stream.write(file.content)
            stream.flush()
            os.fsync(descriptor)
        yield path
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an OSError about `path` into an error of ours."""
    try:
        yield
    except FileExistsError:
        raise CannotCreateError(f"{shown(path)} exists already; --force replaces it") from None
    except PermissionError:
        raise PermissionDeniedError(f"{shown(path)}: you may not write there") from None
    except OSError as error:
        raise CannotCreateError(f"{shown(path)}: {error.strerror}") from None
