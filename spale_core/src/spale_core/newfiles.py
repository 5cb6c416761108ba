# SPDX-License-Identifier: MIT
"""Write files that were not there before: all of them, each whole, with its mode from the first moment."""

from __future__ import annotations

import os
import secrets
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from attrs import field, frozen

from spale_core.errors import CannotCreateError, PermissionDeniedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

PRIVATE = 0o600
PUBLIC = 0o644


@frozen
class NewFile:
    """A file to be; `mode` is what the umask may only narrow."""

    path: Path
    content: bytes = field(repr=False)
    mode: int


def write_all(files: Sequence[NewFile], *, overwrite: bool = False) -> None:
    """Write `files`, all or, where nothing is overwritten, none; nobody ever sees a part of one.

    Raise CannotCreateError, among others for a file that exists unless `overwrite`, or PermissionDeniedError.
    """
    with ExitStack() as drafts, ExitStack() as placed:
        written = [(file, drafts.enter_context(_draft(file))) for file in files]
        for file, draft in written:
            with _explained(file.path):
                if overwrite:
                    draft.replace(file.path)
                else:
                    # A hard link, unlike a rename, refuses to take an existing name.
                    file.path.hardlink_to(draft)
                    placed.callback(file.path.unlink)
        placed.pop_all()


def make_folder(path: Path, mode: int) -> None:
    """Make a folder and its parents, unless it exists; raise as `write_all` does."""
    with _explained(path):
        path.mkdir(mode=mode, parents=True, exist_ok=True)


@contextmanager
def _draft(file: NewFile) -> Iterator[Path]:
    """Write `file` under a name of its own beside the final one, and remove that name in the end."""
    path = file.path.with_name(f".{file.path.name}.{secrets.token_hex(8)}")
    with _explained(file.path):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, file.mode)
    try:
        with _explained(file.path), os.fdopen(descriptor, "wb") as stream:
            stream.write(file.content)
            stream.flush()
            os.fsync(descriptor)
        yield path
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn an OSError about `path` into an error of ours."""
    try:
        yield
    except FileExistsError:
        raise CannotCreateError(f"{path} exists already; --force replaces it") from None
    except PermissionError:
        raise PermissionDeniedError(f"{path}: you may not write there") from None
    except OSError as error:
        raise CannotCreateError(f"{path}: {error.strerror}") from None
