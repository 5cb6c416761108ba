# SPDX-License-Identifier: MIT
"""Build dist/spale_VERSION_ARCHITECTURE.deb, for the release of Debian or Ubuntu that this machine has.

    tools/debian_package.py [--revision N] [--work FOLDER] [--out FOLDER]

Everything happens in a copy of what it needs of the tree, and in an environment of the system's Python,
whichever runs this; `debian/rules` (packaging/debian) does the rest, by tools/install.py. `tools/setup.sh
deb` makes that environment, and installs what apt has to bring.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
from email.utils import formatdate
from functools import partial
from pathlib import Path

from source_date import source_date
from tree import FOLDERS, ROOT

PYTHON = ROOT / ".nox/deb/bin/python"
"""Of an environment of the system's Python, with the pinned packages: `tools/setup.sh deb` makes it."""

NEEDED = (
    *FOLDERS,
    "systemd",
    "tools",
    "docs/spale.conf.example",
    "CHANGELOG.md",
    ".gitignore",
)
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", "*.egg-info", "build", "dist", ".*_cache")

CHANGELOG = """\
spale ({version}) unstable; urgency=medium

  * Made by `nox -s deb`; what is new in spale is in changelog.gz.

 -- {maintainer}  {date}
"""


def main() -> None:
    """Build, and say what was built."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--revision", default="1", help="what follows spale's own version (default: 1)")
    parser.add_argument("--work", type=Path, default=ROOT / "build/deb", help="folder to work in")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder for the package")
    arguments = parser.parse_args()
    source = prepare(arguments.work.resolve() / "source", arguments.revision)
    package = build(source)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for earlier in arguments.out.glob("spale_*.deb"):
        earlier.unlink()
    sys.stdout.write(f"{shutil.move(package, arguments.out / package.name)}\n")


def debian_version(version: str, revision: str) -> str:
    """Return a version as Debian sorts it: a tilde before what precedes a release, two if it precedes all.

    deb-version(7); PEP 440.
    """
    tildes = {"a": "~a", "b": "~b", "rc": "~rc", ".dev": "~~dev", ".post": "+post"}
    return re.sub("|".join(map(re.escape, tildes)), lambda found: tildes[found[0]], version) + f"-{revision}"


def prepare(source: Path, revision: str) -> Path:
    """Copy what is needed of the tree to `source`, with debian/ as dpkg wants it there."""
    shutil.rmtree(source, ignore_errors=True)
    # Without their times: dpkg takes SOURCE_DATE_EPOCH for what is newer, and leaves what is older as it is.
    tree = partial(shutil.copytree, copy_function=shutil.copy)
    for name in NEEDED:
        place = source / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            tree(ROOT / name, place, ignore=LEFT_OUT)
        else:
            shutil.copy(ROOT / name, place)
    tree(ROOT / "packaging/debian", source / "debian")
    project = tomllib.loads((ROOT / "spale_core/pyproject.toml").read_text("utf-8"))["project"]
    control = (source / "debian/control").read_text("utf-8")
    changelog = CHANGELOG.format(
        version=debian_version(project["version"], revision),
        maintainer="".join(re.findall(r"^Maintainer: (.+)$", control, re.MULTILINE)),
        date=formatdate(source_date()),
    )
    (source / "debian/changelog").write_text(changelog, "utf-8")
    return source


def build(source: Path) -> Path:
    """Build the package in the folder above `source`, and return it; setup.sh has seen to what that needs."""
    asked = [str(PYTHON), "-IS", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    version = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    for earlier in source.parent.glob("spale_*"):
        earlier.unlink()
    known = {"SOURCE_DATE_EPOCH": str(source_date()), "SPALE_PYTHON": str(PYTHON), "PYTHON_VERSION": version}
    # Nothing of the one who builds: neither language nor variables that Debian's tools listen to.
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    command = ["dpkg-buildpackage", "--build=binary", "--no-sign", "--no-check-builddeps"]
    done = subprocess.run(
        command,
        cwd=source,
        env={**inherited, **known, "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    (source.parent / "build.log").write_text(done.stdout, "utf-8")
    if done.returncode != 0:
        sys.exit(f"{done.stdout}\ndebian_package: failed; the log is {source.parent / 'build.log'}")
    (package,) = source.parent.glob("spale_*.deb")
    return package


if __name__ == "__main__":
    os.umask(0o022)
    main()
