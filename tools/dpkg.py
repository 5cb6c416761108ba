# SPDX-License-Identifier: MIT
"""Whose a file of this machine is, as dpkg knows it: Debian, Ubuntu."""

from __future__ import annotations

import subprocess
from pathlib import Path


def owner(path: Path) -> str | None:
    """Return the installed package that has the file, with its architecture if there is more than one.

    None if there is no such package, or no dpkg.
    """
    # Packages of before the /usr merge have their files in /lib, a link: so all of that name are asked for.
    asked = ["dpkg-query", "--search", f"*/{path.name}"]
    try:
        answer = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    except OSError:
        return None
    for line in answer.splitlines():
        packages, _, place = line.partition(": ")
        if not packages.startswith("diversion by ") and Path(place).resolve() == path.resolve():
            return packages.partition(",")[0]
    return None
