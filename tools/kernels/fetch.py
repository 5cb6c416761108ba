# SPDX-License-Identifier: MIT
"""Fetch kernels by apt into a folder of our own: nothing is installed, and apt's own lists stay as they are.

From the mirrors that this machine's apt has; signed by Debian's archive keys, which apt checks.
"""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kernels import debian
from kernels.programs import program

if TYPE_CHECKING:
    from collections.abc import Iterable

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_APT_S = 600.0


class CannotFetchError(Exception):
    """A kernel cannot be had, and why."""


class Kernel(NamedTuple):
    """What is needed to boot one."""

    series: str
    release: str
    version: str
    image: Path
    modules: Path


class Archive:
    """A cache of kernels in one folder."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`; it is made where it is not there."""
        self._folder = folder
        self._known: list[debian.Package] = []
        self._said = ""
        for name in ("lists/partial", "cache/archives/partial", "parts", "debs", "trees"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def refresh(self, series: Iterable[str]) -> None:
        """Read the indexes of what is wanted; what cannot be fetched is as it was the last time."""
        suites = [suite for name in series for suite in debian.SERIES[name]]
        lines = list(debian.source_lines(_mirrors(), suites, str(KEYRING)))
        if not lines:
            self._said = "apt has no repository of Debian here"
            return
        (self._folder / "sources.list").write_text("".join(lines), "utf-8")
        done = self._apt("update")
        self._said = "; ".join(line for line in done.stdout.splitlines() if line.startswith(("E:", "Err:")))
        for index in sorted((self._folder / "lists").glob("*_Packages")):
            self._known += debian.packages(index.read_text("utf-8"))

    def kernel(self, series: str) -> Kernel:
        """Return the newest kernel of a series that can be had. Raise CannotFetchError."""
        found = debian.candidates(self._known, series)
        refusals = [] if found else [f"no suite of {', '.join(debian.SERIES[series])} has one: {self._said}"]
        for image in found:
            try:
                tree = self._tree(image)
            except CannotFetchError as error:
                refusals.append(str(error))
                continue
            (vmlinuz,) = tree.rglob("vmlinuz*")
            return Kernel(series, image.release, image.version, vmlinuz, tree)
        raise CannotFetchError("; ".join(refusals))

    def _tree(self, image: debian.Package) -> Path:
        """Return the folder into which an image and its parts are unpacked."""
        tree = self._folder / "trees" / f"{image.release}-{image.sha256[:16]}"
        files = [self._file(package) for package in debian.parts(image, self._known)]
        if not tree.exists():
            new = tree.with_suffix(".new")
            for file in files:
                subprocess.run([program("dpkg"), "-x", file, new], check=True, timeout=_APT_S)
            new.rename(tree)
        return tree

    def _file(self, package: debian.Package) -> Path:
        """Return a package's file, downloaded unless it is there already and whole."""
        wanted = f"{package.name}={package.version}"
        name = f"{package.name}_{package.version.replace(':', '%3a')}_amd64.deb"
        file = self._folder / "debs" / name
        if not (file.exists() and _sha256(file) == package.sha256):
            file.unlink(missing_ok=True)
            done = self._apt("download", wanted, folder=file.parent)
            if not (file.exists() and _sha256(file) == package.sha256):
                raise CannotFetchError(f"{wanted}: {' '.join(done.stdout.split()[-30:])}")
        return file

    def _apt(
        self, command: str, *arguments: str, folder: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        places = {
            "Dir::Etc::sourcelist": self._folder / "sources.list",
            "Dir::Etc::sourceparts": self._folder / "parts",
            "Dir::State::lists": self._folder / "lists",
            "Dir::Cache": self._folder / "cache",
            "Acquire::GzipIndexes": "false",  # we read them, too
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            "APT::Architecture": "amd64",
            "APT::Sandbox::User": "",  # its user may not see this folder
        }
        options = [f"-o{name}={value}" for name, value in places.items()]
        return subprocess.run(
            [str(program("apt-get")), "-q", *options, command, *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_APT_S,
            check=False,
        )


def _mirrors() -> dict[str, str]:
    """Return the repositories that apt has been told of here, by label."""
    asked = [
        str(program("apt-get")),
        "indextargets",
        "--format",
        "$(LABEL)|$(REPO_URI)",
        "Created-By: Packages",
    ]
    said = subprocess.run(asked, capture_output=True, text=True, timeout=_APT_S, check=True).stdout
    return dict(reversed([line.split("|", 1) for line in said.splitlines()]))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
