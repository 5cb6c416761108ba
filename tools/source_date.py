# SPDX-License-Identifier: MIT
"""Print the time that everything built from this tree is said to be of, in seconds since 1970.

Builders take it from SOURCE_DATE_EPOCH, so that two builds are the same to the byte. It is what is in the
environment under this name, or the time of the last commit, or, where git knows nothing, midnight UTC of the
newest release in CHANGELOG.md.
"""

from __future__ import annotations

import os
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RELEASE = re.compile(r"^## \S+ \((?P<day>\d{4}-\d{2}-\d{2})\)$", re.MULTILINE)
"""A heading as towncrier writes it: the version, and its day."""

BEFORE_ALL = 1580601600
"""2020-02-02, which is what hatchling takes where nobody says anything."""


def source_date() -> int:
    """Return the time of this tree, in seconds since 1970."""
    said = os.environ.get("SOURCE_DATE_EPOCH")
    return int(said) if said else _of_commit() or of_changelog((ROOT / "CHANGELOG.md").read_text())


def _of_commit() -> int | None:
    # The folder is named, or a repository around an unpacked archive would answer; safe.directory: under sudo
    # the clone belongs to somebody else.
    asked = ["git", "-c", "safe.directory=*", f"--git-dir={ROOT}/.git", "log", "-1", "--format=%ct"]
    try:
        answer = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return int(answer)


def of_changelog(text: str) -> int:
    """Return the day of the newest release in `text`, as seconds since 1970."""
    newest = RELEASE.search(text)
    return (
        int(datetime.fromisoformat(newest["day"]).replace(tzinfo=UTC).timestamp()) if newest else BEFORE_ALL
    )


if __name__ == "__main__":
    print(source_date())  # noqa: T201 - that is what it is for
