# SPDX-License-Identifier: MIT
"""Which package of Debian or Ubuntu a library comes from that an artefact has copied.

Copies are stripped, patched and renamed, so neither name nor content tells. Their build id does: the package
of this machine that has a library with the same one is where the copy is from. So SBOMs are made where the
artefacts are built.
"""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import dpkg
from sbom.buildid import build_id
from sbom.parts import Part, UnknownOriginError, purl

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FOLDERS = ("usr/lib/*-linux-gnu", "lib/*-linux-gnu", "usr/lib/python3*/lib-dynload")
"""Where libraries are, below /."""

QUERY = "-f=${Package}\n${Version}\n${Architecture}\n${source:Package}"


PYTHON = "Python-2.0.1"
SOURCES = {
    "bzip2": "bzip2-1.0.6",
    "expat": "MIT",
    "libffi": "MIT",
    "libgcc_s": "GPL-3.0-or-later WITH GCC-exception-3.1",
    "libseccomp": "LGPL-2.1-only",
    "openssl": "Apache-2.0",
    "python3.11": PYTHON,
    "python3.12": PYTHON,
    "python3.13": PYTHON,
    "sqlite3": "blessing",
    "util-linux": "BSD-3-Clause",
    "xz-utils": "0BSD",
}
"""The terms of libraries or source packages, looked up in their copyright files, as SPDX writes them.

xz-utils: liblzma up to 5.4 is in the public domain, which 0BSD says in words that lawyers know.
"""


class Packages:
    """The installed packages, asked by build id; `terms` are licences by library (libz) or source package."""

    def __init__(self, terms: Mapping[str, str]) -> None:
        """Ask nothing yet."""
        self._terms = terms
        self._owners: dict[Path, Part | None] = {}

    def owner(self, name: str, identity: str) -> Part | None:
        """Return the package with a library called something like `name` whose build id is `identity`."""
        for path in candidates(name):
            if build_id(path.read_bytes()) == identity:
                if path not in self._owners:
                    self._owners[path] = self._package(path, stem(name))
                return self._owners[path]
        return None

    def _package(self, path: Path, library: str) -> Part | None:
        owner = dpkg.owner(path)
        if owner is None:
            return None
        asked = ["dpkg-query", "-W", QUERY, owner]
        answer = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
        package, version, architecture, source = answer.split("\n")
        terms = self._terms.get(library) or self._terms.get(source)
        if terms is None:
            raise UnknownOriginError(
                f"{path.name} is of {package}; tools/sbom/debian.py must say under which licence {source} is"
            )
        release = platform.freedesktop_os_release()
        where = {"arch": architecture, "distro": f"{release['ID']}-{release.get('VERSION_ID', 'sid')}"}
        return Part(
            package,
            version,
            purl(f"deb/{release['ID']}", package, version, **where),
            terms,
            notes=(("source-package", source),),
        )


def candidates(name: str) -> Iterator[Path]:
    """Yield the libraries of this machine that a copy called `name` (libz-1a2b3c4d.so.1) may be of."""
    for folder in FOLDERS:
        found = sorted(Path("/").glob(f"{folder}/{stem(name)}*.so*"))
        yield from (path for path in found if path.is_file() and not path.is_symlink())


def stem(name: str) -> str:
    """Return the name of a library without its version, and without what a copy has in its name: libz."""
    return name.partition(".so")[0].partition(".cpython-")[0].partition("-")[0]
