# SPDX-License-Identifier: MIT
"""What git and the changelog say about a release: checks return what is wrong and what would be right."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

from releasing.versions import stated, wrong_with

if TYPE_CHECKING:
    from pathlib import Path

HEADING = re.compile(r"^## (?P<version>\S+) \((?P<day>\d{4}-\d{2}-\d{2})\)$", re.MULTILINE)
"""As towncrier writes it (pyproject.toml)."""

SHOWN = 5
"""So many files are named; the others are counted."""


def git(root: Path, *words: str) -> str:
    """Return what git says about the repository in `root`; raise CalledProcessError."""
    # safe.directory: under sudo the clone belongs to somebody else.
    command = ["git", "-c", "safe.directory=*", "-C", str(root), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def clean_tree(root: Path) -> list[str]:
    """Check that everything is committed."""
    changed = [line[3:] for line in git(root, "status", "--porcelain").splitlines()]
    more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
    return [f"not committed: {', '.join(changed[:SHOWN])}{more}"] if changed else []


def tag(root: Path, version: str) -> list[str]:
    """Check that the tag of this version, if it is there, is of this commit, and no other version's is."""
    here = git(root, "tag", "--points-at", "HEAD", "--list", "v*").split()
    wrong = [
        f"this commit has the tag {other}; v{version} would be right"
        for other in here
        if other != f"v{version}"
    ]
    if git(root, "tag", "--list", f"v{version}").strip() and f"v{version}" not in here:
        wrong.append(f"v{version} is the tag of another commit; a version is released once")
    return wrong


def version_everywhere(root: Path, version: str) -> list[str]:
    """Check that the five distributions have this version and want it of each other."""
    if wrong := wrong_with(version):
        return [wrong]
    others = [f"{place} is {found}" for place, found in stated(root) if found != version]
    return [*others, f"tools/bump.py {version} writes it everywhere"] if others else []


def changelog(root: Path, version: str) -> list[str]:
    """Check that CHANGELOG.md begins with this version, and says something; and that no fragment is left."""
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    sections = list(HEADING.finditer(text))
    wrong = []
    if not sections or sections[0]["version"] != version:
        newest = f"the newest section is {sections[0]['version']}" if sections else "there is no section"
        wrong.append(f"CHANGELOG.md: {newest}; towncrier build --version {version} writes one")
    elif not text[sections[0].end() : sections[1].start() if len(sections) > 1 else None].strip():
        wrong.append(f"CHANGELOG.md: the section of {version} is empty")
    left = sorted(path.name for path in (root / "changes").glob("*"))
    if left:
        wrong.append(
            f"changes/ still has {', '.join(left)}; towncrier build --version {version} gathers them"
        )
    return wrong
