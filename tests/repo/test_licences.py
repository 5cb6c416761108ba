# SPDX-License-Identifier: MIT
"""Whose terms each file is under: an SPDX line in it, or a line in REUSE.toml for it."""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatch
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

TAG = re.compile(r"SPDX-License-Identifier: (?P<licence>[\w.\-]+)")


def declared(text: str) -> str | None:
    """Return the licence that one of the first two lines names (a script's first is its #! line)."""
    found = TAG.search("\n".join(text.splitlines()[:2]))
    return found["licence"] if found else None


def elsewhere(root: Path) -> list[str]:
    """Return the patterns of the files whose licence REUSE.toml states."""
    listed = tomllib.loads((root / "REUSE.toml").read_text(encoding="utf-8"))["annotations"]
    return [pattern for annotation in listed for pattern in annotation["path"]]


def test_every_file_states_its_licence(texts: dict[str, str], root: Path) -> None:
    """A file begins with its SPDX line, unless it cannot hold one and REUSE.toml states it."""
    patterns = [*elsewhere(root), "LICENSES/*", "REUSE.toml"]
    bare = [name for name, text in texts.items() if declared(text) is None]
    assert not [name for name in bare if not any(fnmatch(name, pattern) for pattern in patterns)]


def permitted(name: str) -> set[str]:
    """Return the licences that the file `name` may be under."""
    if not name.endswith((".c", ".h")):
        return {"MIT"}
    return {"GPL-2.0-only"} if name.startswith("bpf/") else {"MIT", "GPL-2.0-only"}


def test_licences_are_the_two(texts: dict[str, str]) -> None:
    """The kernel programs are GPL-2.0-only, all else is MIT; C of the tests may be either."""
    licences = {name: licence for name, text in texts.items() if (licence := declared(text)) is not None}
    assert not {name: licence for name, licence in licences.items() if licence not in permitted(name)}


def test_every_named_licence_is_there(root: Path) -> None:
    """The text of both licences is in LICENSES/."""
    assert {path.name for path in (root / "LICENSES").iterdir()} == {"MIT.txt", "GPL-2.0-only.txt"}


def test_each_distribution_has_the_texts(packages: dict[str, str], root: Path) -> None:
    """As files, since an sdist that holds links out of it would hold no text."""
    for folder in packages:
        copies = [path for path in (root / folder).glob("LICENSE*") if path.is_file()]
        assert copies, folder
        for path in copies:
            name = path.name.removeprefix("LICENSE").removeprefix(".") or "MIT"
            assert not path.is_symlink()
            assert path.read_bytes() == (root / "LICENSES" / f"{name}.txt").read_bytes()


def test_reuse_patterns_match_something(texts: dict[str, str], root: Path) -> None:
    """REUSE.toml names no files that are gone."""
    assert not [pattern for pattern in elsewhere(root) if not any(fnmatch(name, pattern) for name in texts)]
