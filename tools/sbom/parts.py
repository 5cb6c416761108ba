# SPDX-License-Identifier: MIT
"""What an artefact is made of, or asks for: the values that become components of its SBOM."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import quote

CONTAINED = "contained"
DECLARED = "declared"


class UnknownOriginError(Exception):
    """Something in an artefact of which nobody can say where it comes from."""


@dataclass(frozen=True)
class Part:
    """Something with a name: the artefact itself, what it holds, or what it needs beside it."""

    name: str
    version: str = ""
    purl: str = ""
    licence: str = ""
    sha256: str = ""
    relation: str = CONTAINED
    notes: tuple[tuple[str, str], ...] = ()
    """Names and values of further properties."""

    parts: tuple[Part, ...] = ()
    """What it holds in turn."""

    def with_notes(self, *notes: tuple[str, str]) -> Part:
        """Return it with further `notes`."""
        return replace(self, notes=(*self.notes, *notes))


def purl(kind: str, name: str, version: str = "", **qualifiers: str) -> str:
    """Return the package URL (https://github.com/package-url/purl-spec) of a package."""
    at = f"@{quote(version, safe=':')}" if version else ""
    words = "&".join(f"{key}={quote(value, safe=':')}" for key, value in sorted(qualifiers.items()))
    return f"pkg:{kind}/{quote(name, safe='/')}{at}{'?' if words else ''}{words}"
