# SPDX-License-Identifier: MIT
"""Whether the files in dist/ are all there, have their SBOMs, and are what this commit builds."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from releasing.artefacts import SBOM, SUMS, artefacts, missing, strange

if TYPE_CHECKING:
    from pathlib import Path


def digest(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def complete(dist: Path, version: str) -> list[str]:
    """Check that all artefacts of a version are there, and nothing else."""
    names = [path.name for path in artefacts(dist)]
    wrong = [f"{name} is no artefact of {version}; remove it" for name in strange(version, names)]
    lacking = [f"no {kind}" for kind in missing(version, names)]
    return [*wrong, *lacking, "nox -s build onefile deb makes all"] if lacking else wrong


def sboms(dist: Path) -> list[str]:
    """Check that each artefact has an SBOM, and that it is of exactly this file."""
    return [
        f"{path.name}: {wrong}; nox -s sbom writes it" for path in artefacts(dist) if (wrong := _sbom(path))
    ]


def _sbom(artefact: Path) -> str:
    try:
        text = artefact.with_name(f"{artefact.name}{SBOM}").read_text(encoding="utf-8")
        hashes = json.loads(text)["metadata"]["component"]["hashes"]
    except FileNotFoundError:
        return "no SBOM"
    except (ValueError, KeyError, TypeError):
        return "its SBOM cannot be read"
    stated = {each["content"] for each in hashes if each["alg"] == "SHA-256"}
    return "" if stated == {digest(artefact)} else "its SBOM is of another file"


def same(dist: Path, rebuilt: Path) -> list[str]:
    """Check that what lies in `dist` is, byte for byte, what was built again in `rebuilt`."""
    ours, again = sums(dist), sums(rebuilt)
    wrong = [
        f"{name} is not what this commit builds: {ours[name][:12]}, rebuilt {again[name][:12]}"
        for name in sorted(ours.keys() & again.keys())
        if ours[name] != again[name]
    ]
    wrong += [f"{name} is not built by this commit" for name in sorted(ours.keys() - again.keys())]
    return wrong + [
        f"{name} is built by this commit, and not in {dist.name}/"
        for name in sorted(again.keys() - ours.keys())
    ]


def sums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file by its name; that of the sums themselves left out."""
    return {
        path.name: digest(path) for path in sorted(folder.glob("*")) if path.is_file() and path.name != SUMS
    }


def write_sums(folder: Path) -> Path:
    """Write what `sha256sum --check` reads, and return where."""
    path = folder / SUMS
    path.write_text("".join(f"{value}  {name}\n" for name, value in sums(folder).items()), encoding="utf-8")
    return path
