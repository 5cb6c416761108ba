# SPDX-License-Identifier: MIT
"""Distributions of Python, as their metadata tells of them: version, licence, needs, and what they hold."""

from __future__ import annotations

import json
import re
from email.parser import BytesParser
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from sbom.parts import DECLARED, Part, purl

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from email.message import Message

    from sbom.members import Files

Pins = dict[str, list[str]]
"""By distribution the sums of the files that its pin may be."""

METADATA = re.compile(r"(?P<folder>(?:.*/)?[^/]+\.dist-info)/METADATA")
EMBEDDED = re.compile(r"[^/]+/sboms/[^/]+\.json")
"""What a wheel says about what was linked into it (PEP 770), below its dist-info."""


class Distribution:
    """One distribution: what `folder`, its dist-info, says in `files`."""

    def __init__(self, files: Files, folder: str, text: bytes | None = None) -> None:
        """Read METADATA, which is `text` if that is given."""
        self._files = files
        self.folder = folder
        self.fields: Message[str, str] = BytesParser().parsebytes(text or files[f"{folder}/METADATA"])

    @property
    def name(self) -> str:
        """Return its name, as registries spell it."""
        return canonicalize_name(self.fields["Name"])

    @property
    def version(self) -> str:
        """Return its version."""
        return self.fields["Version"]

    @property
    def owned(self) -> set[str]:
        """Return the paths of its files, so far as its RECORD is there."""
        parent = PurePosixPath(self.folder).parent
        record = self._files.get(f"{self.folder}/RECORD", b"").decode()
        return {str(parent / line.rsplit(",", 2)[0]) for line in record.splitlines() if line}

    @property
    def needs(self) -> list[Part]:
        """Return what it declares to need, but for its extras."""
        return [declared(each) for each in self._wanted() if "extra" not in str(each.marker or "")]

    @property
    def needs_here(self) -> list[Part]:
        """Return what it needs on a system, and with a Python, like these."""
        met = {"extra": ""}
        return [declared(each) for each in self._wanted() if not each.marker or each.marker.evaluate(met)]

    def _wanted(self) -> list[Requirement]:
        return [Requirement(text) for text in self.fields.get_all("Requires-Dist") or ()]

    def part(self, pins: Pins | None = None) -> Part:
        """Return it as a component, with what it embeds; `pins` has the sums of files that it may be of."""
        hashes = (pins or {}).get(self.name, ())
        notes = (("one-of-sha256", " ".join(hashes)),) if hashes else ()
        link = purl("pypi", self.name, self.version)
        return Part(
            self.name, self.version, link, licence(self.fields), notes=notes, parts=tuple(self._embedded())
        )

    def _embedded(self) -> Iterator[Part]:
        mine = f"{self.folder}/sboms/"
        texts = [text for name, text in sorted(self._files.items()) if name.startswith(mine)]
        for text in texts or installed_sboms(self.name, self.version):
            yield from components(json.loads(text))


def licence(fields: Message[str, str]) -> str:
    """Return the licence that METADATA states: an SPDX expression where there is one, else words."""
    words = [
        text.rpartition(" :: ")[2]
        for text in fields.get_all("Classifier") or ()
        if text.startswith("License ::")
    ]
    stated = fields.get("License", "")
    short = stated if "\n" not in stated else ""
    return fields.get("License-Expression") or short or " AND ".join(words)


def declared(requirement: Requirement) -> Part:
    """Return what somebody else will have to bring."""
    name = canonicalize_name(requirement.name)
    exact = [each.version for each in requirement.specifier if each.operator == "=="]
    version = exact[0] if exact else ""
    notes = (("requirement", str(requirement)),)
    return Part(name, version, purl("pypi", name, version), relation=DECLARED, notes=notes)


def found_in(files: Files) -> list[Distribution]:
    """Return the distributions whose dist-info is in `files`, by name."""
    folders = [match["folder"] for name in files if (match := METADATA.fullmatch(name))]
    return sorted((Distribution(files, folder) for folder in folders), key=lambda each: each.name)


def installed_sboms(name: str, version: str) -> list[bytes]:
    """Return the SBOMs of a distribution, if exactly that version is installed here."""
    try:
        here = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return []
    if here.version != version:
        return []
    files = sorted(map(str, here.files or ()))
    return [Path(str(here.locate_file(name))).read_bytes() for name in files if EMBEDDED.fullmatch(name)]


def components(document: dict[str, Any]) -> Iterator[Part]:
    """Yield what an SBOM in CycloneDX's JSON lists, without addresses of where it was built."""
    for each in document.get("components", ()):
        link = each.get("purl", "").partition("?")[0]
        yield Part(each["name"], each.get("version", ""), link, _stated(each.get("licenses", ())))


def _stated(licences: Iterable[dict[str, Any]]) -> str:
    found = [
        each.get("expression") or each["license"].get("id") or each["license"]["name"] for each in licences
    ]
    return " AND ".join(f"({each})" if len(found) > 1 and " OR " in each else each for each in found)


def pins(text: str) -> Pins:
    """Return the sums in requirements/base.txt by distribution: its pin is one of these files."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        if match := re.match(r"([\w.\-]+)==", line):
            name = canonicalize_name(match[1])
        elif match := re.match(r"\s+--hash=sha256:([0-9a-f]{64})", line):
            found.setdefault(name, []).append(match[1])
    return {name: sorted(sums) for name, sums in found.items()}
