# SPDX-License-Identifier: MIT
"""The files inside of an artefact, whatever kind it is, by their paths."""

from __future__ import annotations

import io
import subprocess
import tarfile
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

Files = dict[str, bytes]


def members(artefact: Path) -> Files:
    """Return the files in `artefact`: a wheel, an sdist, a Debian package, or else PyInstaller's file."""
    if artefact.suffix == ".whl":
        return of_zip(artefact)
    if artefact.suffix == ".deb":
        unpacked = ["dpkg-deb", "--fsys-tarfile", str(artefact)]
        return of_tar(subprocess.run(unpacked, capture_output=True, check=True).stdout)
    if artefact.name.endswith(".tar.gz"):
        return of_tar(artefact.read_bytes())
    return of_one_file(artefact)


def of_zip(artefact: Path) -> Files:
    """Return the files of a wheel."""
    with zipfile.ZipFile(artefact) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}


def of_tar(content: bytes) -> Files:
    """Return the regular files of a tar archive; what they lie in, ``./`` at its begin, is left out."""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        found = {each.name.removeprefix("./"): archive.extractfile(each) for each in archive if each.isfile()}
        return {name: file.read() for name, file in found.items() if file is not None}


def of_one_file(artefact: Path) -> Files:
    """Return the files and modules of an executable that PyInstaller made.

    A module of its library of modules is there by the path that it would have, without its content.
    """
    from PyInstaller.archive.readers import CArchiveReader  # noqa: PLC0415 - only where it is installed

    archive = CArchiveReader(str(artefact))
    files: Files = {}
    for name, (*_, kind) in archive.toc.items():
        if kind == "z":
            modules = archive.open_embedded_archive(name).toc
            files.update({f"{module.replace('.', '/')}.pyc": b"" for module in modules})
        elif kind in "bxZm":
            files[name] = archive.extract(name)
    return files
