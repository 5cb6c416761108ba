# SPDX-License-Identifier: MIT
"""Where the version is written: in five pyproject.toml, as their own and as what they want of each other."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version
from tree import FOLDERS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STATED = re.compile(
    r'(?P<before>^version = "|"(?P<other>spale-[a-z-]+)==)(?P<version>[^"]+)(?=")', re.MULTILINE
)


def stated(root: Path) -> Iterator[tuple[str, str]]:
    """Yield each place with a version in it, and that version."""
    for folder in FOLDERS:
        for match in STATED.finditer((root / folder / "pyproject.toml").read_text(encoding="utf-8")):
            what = f"wants {match['other']}" if match["other"] else "version"
            yield f"{folder}/pyproject.toml: {what}", match["version"]


def bump(root: Path, version: str) -> int:
    """Write `version` to all places, and return how many there are."""
    count = 0
    for folder in FOLDERS:
        path = root / folder / "pyproject.toml"
        text, here = STATED.subn(rf"\g<before>{version}", path.read_text(encoding="utf-8"))
        path.write_text(text, encoding="utf-8")
        count += here
    return count


def wrong_with(version: str) -> str:
    """Return what is wrong with a version that somebody typed, empty if it can be one of a release."""
    try:
        known = Version(version)
    except InvalidVersion:
        return f"{version!r} is no version; one is written 1.0.0 or 1.1.0rc1"
    if str(known) != version or known.local:
        return f"{version!r} is written {known.public}"
    return ""
