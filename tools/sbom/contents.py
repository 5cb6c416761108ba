# SPDX-License-Identifier: MIT
"""What an artefact is, what it contains, and what it declares to need: read from the artefact itself."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

from sbom.buildid import BPF, build_id, header
from sbom.distributions import Distribution, found_in
from sbom.members import members
from sbom.modules import Modules, installed_tops
from sbom.parts import DECLARED, Part, UnknownOriginError, purl

if TYPE_CHECKING:
    from pathlib import Path

    from sbom.debian import Packages
    from sbom.distributions import Pins
    from sbom.members import Files
    from sbom.modules import Tops

OWN_TERMS = "MIT AND GPL-2.0-only"
"""Ours; the work of others in a package or executable has its own terms, as a component."""


class Contents:
    """An artefact's own component, and all others: what is contained need not be had from elsewhere."""

    def __init__(self, subject: Part) -> None:
        """Begin with nothing but the artefact."""
        self.subject = subject
        self._contained: dict[str, Part] = {}
        self._declared: dict[str, Part] = {}

    @property
    def parts(self) -> list[Part]:
        """Return all components besides the artefact itself, in an order that does not change."""
        names = {part.name for part in self._contained.values()}
        outside = [part for part in self._declared.values() if part.name not in names]
        return sorted((*self._contained.values(), *outside), key=lambda part: part.purl)

    def add(self, part: Part, *notes: tuple[str, str]) -> None:
        """Add a part, or what else is known of one that is there already."""
        known = self._declared if part.relation == DECLARED else self._contained
        before = known.get(part.purl, part)
        known[part.purl] = before.with_notes(*(note for note in notes if note not in before.notes))


def read(artefact: Path, packages: Packages, pins: Pins) -> Contents:
    """Return the contents of `artefact`; raise UnknownOriginError if anything in it is of unknown origin."""
    files = members(artefact)
    if artefact.suffix == ".whl" or artefact.name.endswith(".tar.gz"):
        found = of_distribution(files, packages)
    elif artefact.suffix == ".deb":
        found = of_package(control(artefact), files, packages, pins)
    else:
        found = of_one_file(files, packages, pins, installed_tops())
    note = ("file", artefact.name)
    digest = hashlib.sha256(artefact.read_bytes()).hexdigest()
    found.subject = replace(found.subject.with_notes(note), sha256=digest)
    return found


def of_distribution(files: Files, packages: Packages) -> Contents:
    """Return the contents of a wheel or an sdist: whatever machine code is in it must be a package's."""
    sources = [name for name in files if name.endswith("/PKG-INFO") and name.count("/") == 1]
    own = Distribution(files, "", files[sources[0]]) if sources else found_in(files)[0]
    contents = Contents(own.part())
    for need in own.needs:
        contents.add(need)
    for name, content in machine_code(files).items():
        contents.add(*library(name, content, packages, None))
    return contents


def of_package(fields: dict[str, str], files: Files, packages: Packages, pins: Pins) -> Contents:
    """Return the contents of a Debian package whose control file says `fields`."""
    version, architecture = fields["Version"], fields["Architecture"]
    link = purl("deb", fields["Package"], version, arch=architecture)
    contents = Contents(Part(fields["Package"], version, link, OWN_TERMS))
    for need in filter(
        None, map(str.strip, f"{fields.get('Depends', '')},{fields.get('Pre-Depends', '')}".split(","))
    ):
        name = need.split()[0].partition(":")[0]
        contents.add(Part(name, "", purl("deb", name), relation=DECLARED, notes=(("requirement", need),)))
    add_distributions(contents, files, packages, pins, {})
    return contents


def of_one_file(files: Files, packages: Packages, pins: Pins, tops: Tops) -> Contents:
    """Return the contents of an executable that holds everything, Python too."""
    version = next(each.version for each in found_in(files) if each.name == "spale-core")
    contents = Contents(Part("spale", version, purl("generic", "spale", version), OWN_TERMS))
    modules = add_distributions(contents, files, packages, pins, tops)
    for distribution in modules.owners(files):
        contents.add(distribution.part(pins))
    contents.add(modules.installed("pyinstaller").part(), ("part", "bootloader"))
    return contents


def add_distributions(
    contents: Contents, files: Files, packages: Packages, pins: Pins, tops: Tops
) -> Modules:
    """Add the distributions and all machine code in `files`."""
    inside = found_in(files)
    modules = Modules(inside, tops)
    for each in inside:
        contents.add(each.part(pins))
        for need in each.needs_here:
            contents.add(need)
    for name, content in machine_code(files).items():
        contents.add(*library(name, content, packages, modules, pins))
    return modules


def machine_code(files: Files) -> Files:
    """Return the files that hold code for a processor; kernel programs are ours, whoever carries them."""
    return {name: text for name, text in files.items() if (found := header(text)) and found.machine != BPF}


def library(
    name: str,
    content: bytes,
    packages: Packages,
    modules: Modules | None,
    pins: Pins | None = None,
) -> tuple[Part, tuple[str, str]]:
    """Return whose the library `name` is, and a note about it; raise UnknownOriginError if nobody knows."""
    identity = build_id(content)
    owner = packages.owner(name.rpartition("/")[2], identity) if identity else None
    if owner is None and modules is not None and (distribution := modules.owner(name)):
        owner = distribution.part(pins)
    if owner is None:
        raise UnknownOriginError(f"{name} is of no package of this machine, and of no distribution inside")
    return owner, ("file", f"{name} sha256:{hashlib.sha256(content).hexdigest()}")


def control(artefact: Path) -> dict[str, str]:
    """Return the fields of a Debian package's control file; a field that goes on is one line."""
    command = ["dpkg-deb", "--field", str(artefact)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = told.replace("\n ", " ").splitlines()
    return {name: text.strip() for name, _, text in (line.partition(":") for line in lines)}
