# SPDX-License-Identifier: MIT
"""tools/setup.sh where it cannot install anything, and the Makefile's words about itself."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

POOR = ("bash", "cat", "dirname", "grep", "id", "make", "sha256sum", "uname")
"""All that a poor machine has: no apt-get, no Python, no compiler."""


@pytest.fixture
def poor(root: Path, tmp_path: Path) -> Path:
    """Return a copy of what setting up reads, beside a folder `bin` with few programs."""
    for folder in ("tools", "requirements"):
        shutil.copytree(root / folder, tmp_path / folder)
    shutil.copy(root / "Makefile", tmp_path)
    (tmp_path / "bin").mkdir()
    for name in POOR:
        found = shutil.which(name)
        assert found, name
        (tmp_path / "bin" / name).symlink_to(found)
    return tmp_path


@pytest.mark.parametrize("profile", ["demo", "dev"])
def test_without_apt_it_says_what_to_install_and_stops(poor: Path, profile: str) -> None:
    """Where nothing can be installed, the packages are named, and nothing is touched."""
    before = set(poor.iterdir())
    done = subprocess.run(
        [poor / "bin" / "bash", "tools/setup.sh", profile],
        cwd=poor,
        env={"PATH": str(poor / "bin")},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    named = next(line for line in done.stderr.splitlines() if "are missing" in line).split(": ")[-1].split()
    assert {"python3", "python3-venv", "clang", "llvm"} <= set(named)
    assert set(poor.iterdir()) == before


def test_the_makefile_explains_itself(poor: Path) -> None:
    """`make` alone tells what each target does, and does none of it."""
    make = [poor / "bin" / "make", "--no-print-directory"]
    told = subprocess.run(make, cwd=poor, capture_output=True, text=True, timeout=30, check=True).stdout
    for target in ("demo", "test", "install", "venv", "lock", "clean"):
        assert f"make {target}" in told
