# SPDX-License-Identifier: MIT
"""How the Debian package is called, and that it brings what is said of it."""

from __future__ import annotations

import re
from pathlib import Path

import debian_package
import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGING = ROOT / "packaging/debian"


@pytest.mark.parametrize(
    ("version", "debian"),
    [
        ("1.0.0", "1.0.0-1"),
        ("1.0.0.dev0", "1.0.0~~dev0-1"),
        ("1.0.0a2", "1.0.0~a2-1"),
        ("1.0.0b1", "1.0.0~b1-1"),
        ("1.0.0rc1", "1.0.0~rc1-1"),
        ("1.0.0rc1.dev3", "1.0.0~rc1~~dev3-1"),
        ("1.0.0.post1", "1.0.0+post1-1"),
    ],
)
def test_what_precedes_a_release_is_older_for_dpkg(version, debian):
    """A tilde sorts before nothing, and two before one (deb-version(7))."""
    assert debian_package.debian_version(version, "1") == debian


def test_the_user_that_is_removed_is_the_one_that_was_made():
    """The script postrm knows it by the description that sysusers gives it."""
    (comment,) = re.findall(
        r'^u spale - "(.+)" -$', (ROOT / "systemd/sysusers.conf").read_text(), re.MULTILINE
    )
    assert f"*':{comment}:'*" in (PACKAGING / "spale.postrm").read_text()


def test_whose_copies_are_in_it_is_said():
    """debian/copyright has a paragraph for each package that base.txt pins and an installation brings."""
    pinned = set(re.findall(r"^([\w-]+)==", (ROOT / "requirements/base.txt").read_text(), re.MULTILINE))
    builders = {
        "editables",
        "hatchling",
        "packaging",
        "pathspec",
        "tomlkit",
        "trove-classifiers",
        "win-inet-pton",
    }
    told = (PACKAGING / "copyright").read_text()
    assert not [name for name in pinned - builders if f"/{name}" not in told]
