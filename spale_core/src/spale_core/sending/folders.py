# SPDX-License-Identifier: MIT
"""Make, change and remove profiles: each is there as a whole, or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spale_core.config.mistakes import shown
from spale_core.errors import CannotCreateError
from spale_core.newfiles import PRIVATE, NewFile, explained, make_folder, write_all
from spale_core.sending.profiles import CONFIG, KEY, check_name, read, write

if TYPE_CHECKING:
    from collections.abc import Mapping

_FOLDER: Final = 0o700


def create(root: str, name: str, texts: Mapping[str, str], key: bytes) -> Path:
    """Make the profile `name` and return its folder; raise CannotCreateError or PermissionDeniedError.

    It is written under another name first, which no profile can have.
    """
    folder = Path(root, check_name(name))
    make_folder(folder.parent, _FOLDER)
    if os.path.lexists(folder):
        raise CannotCreateError(
            f"{shown(folder)} exists already; spale-send profile set changes it, delete removes it"
        )
    draft = _beside(folder)
    with explained(folder):
        draft.mkdir(_FOLDER)
    try:
        write_all((_file(draft / CONFIG, write(texts)), _file(draft / KEY, key)), overwrite=True)
        with explained(folder):
            draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return folder


def change(root: str, name: str, texts: Mapping[str, str], key: bytes | None) -> Path:
    """Replace what the profile says by `texts`, where that differs, and its key unless `key` is None."""
    before = read(root, name)
    folder = Path(before.folder)
    files = [_file(folder / CONFIG, write(texts))] if texts != before.texts else []
    if key is not None:
        files.append(_file(folder / KEY, key))
    write_all(files, overwrite=True)
    return folder


def find(root: str, name: str) -> Path:
    """Return the folder of the profile `name`, broken or not; raise MissingInputError if there is none."""
    folder = Path(root, check_name(name))
    if not os.path.lexists(folder):
        read(root, name)  # says which one may be meant
    return folder


def delete(root: str, name: str) -> None:
    """Remove the profile `name`; raise MissingInputError if there is none, or PermissionDeniedError."""
    folder = find(root, name)
    gone = _beside(folder)
    with explained(folder):
        folder.rename(gone)
        if gone.is_symlink():
            gone.unlink()
        else:
            shutil.rmtree(gone)


def _file(path: Path, content: bytes) -> NewFile:
    return NewFile(path, content, PRIVATE)


def _beside(folder: Path) -> Path:
    """Return a name beside `folder` that is nobody's."""
    return folder.with_name(f".{folder.name}.{secrets.token_hex(8)}")
