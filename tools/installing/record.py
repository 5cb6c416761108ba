# SPDX-License-Identifier: MIT
"""What an installation has put outside of its own folder: the next one may replace it, a removal removes it.

Anything else that is in the way is somebody else's, and stays.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from installing.places import Places

NAME = "installed.json"
"""In the installation's own folder."""


class Record(NamedTuple):
    """Files, each with its checksum or the target of the link, and the folders that were made for them."""

    files: dict[str, str]
    folders: list[str]

    def write(self, home: Path) -> None:
        """Write it into the installation's own folder."""
        (home / NAME).write_text(json.dumps(self._asdict(), indent=1) + "\n", "utf-8")


def is_ours(folder: Path) -> bool:
    """Tell whether an installation is in `folder`, or was begun there: it has a record, or nothing at all."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    return (folder / NAME).is_file() or not any(folder.iterdir())


def refuse_strangers(*folders: Path) -> None:
    """Exit if there is something that is not ours where we want to have one of `folders`."""
    for folder in folders:
        if (folder.is_symlink() or folder.exists()) and not is_ours(folder):
            sys.exit(f"install: {folder} is there and is not ours; move it away")


def read(home: Path) -> Record | None:
    """Return what the installation in `home` has put elsewhere, None if there is none.

    Exit if something else is there.
    """
    if not home.exists():
        return None
    if not (home / NAME).exists():
        sys.exit(
            f"install: {home} is there and is not ours; if it is the Debian package's: apt remove spale;"
            " else move it away"
        )
    return Record(**json.loads((home / NAME).read_text("utf-8")))


def fingerprint(path: Path) -> str:
    """Return by what a file or link is known again."""
    if path.is_symlink():
        return f"-> {path.readlink()}"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "(a folder)"


def planned(places: Places, before: Record | None) -> Record:
    """Return what will be recorded, with the folders that are to be made; exit if others are in the way."""
    owned = before.files if before else {}
    links = {path: f"-> {target}" for path, target in places.links.items()}
    texts = {path: hashlib.sha256(text.encode()).hexdigest() for path, text in places.texts.items()}
    wanted = {**links, **texts}
    strangers = [path for path in wanted if _is_strange(places.on_disk(path), owned.get(str(path)))]
    if strangers:
        named = "\n".join(f"  {places.on_disk(path)}" for path in strangers)
        sys.exit(f"install: these are there and are not ours; move them away:\n{named}")
    folders = [] if before is None else before.folders
    return Record(
        {str(path): known for path, known in wanted.items()},
        sorted({*folders, *missing(places, [*wanted, places.home])}),
    )


def missing(places: Places, paths: Iterable[Path]) -> set[str]:
    """Return the folders above `paths` that are not there yet."""
    parents = {parent for path in paths for parent in path.parents}
    return {str(parent) for parent in parents if not places.on_disk(parent).exists()} - {"/"}


def remove_files(places: Places, files: dict[str, str]) -> None:
    """Remove what was recorded, but not what is another's by now."""
    for name, known in files.items():
        path = places.on_disk(Path(name))
        if not (path.is_symlink() or path.exists()):
            continue
        if known == fingerprint(path):
            path.unlink()
        else:
            sys.stderr.write(f"install: {path} is not as it was installed; it stays\n")


def remove_folders(places: Places, folders: list[str]) -> None:
    """Remove what was made for us, unless it is used."""
    for name in sorted(folders, key=len, reverse=True):
        folder = places.on_disk(Path(name))
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _is_strange(path: Path, known: str | None) -> bool:
    """Tell whether something is at `path` that no installation put there; a text of ours may be changed."""
    if not (path.is_symlink() or path.exists()):
        return False
    if known is None:
        return True
    return path.is_symlink() != known.startswith("-> ") or path.is_dir()
