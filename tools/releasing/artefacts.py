# SPDX-License-Identifier: MIT
"""The files of a release: what there must be in dist/, and what there is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from debian_package import debian_version

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

PACKAGES = ("spale_bpf", "spale_core", "spale_crypto_hpke", "spale_tc", "spale_xdp")
SBOM = ".cdx.json"
SUMS = "SHA256SUMS"


def artefacts(folder: Path) -> list[Path]:
    """Return what is released of `folder`, by name; neither SBOMs nor sums."""
    files = (path for path in folder.glob("*") if path.is_file() and path.name != SUMS)
    return sorted(path for path in files if not path.name.endswith(SBOM))


def wanted(version: str) -> dict[str, re.Pattern[str]]:
    """Return what a release of `version` has, as names for people and as patterns of file names."""
    exact = re.escape(version)
    kinds = {f"sdist of {name}": rf"{name}-{exact}\.tar\.gz" for name in PACKAGES}
    kinds |= {f"wheel of {name}": rf"{name}-{exact}-py3-none-(any|\w*linux_\w+)\.whl" for name in PACKAGES}
    debian = re.escape(debian_version(version, ""))
    kinds |= {"one file": "spale", "Debian package": rf"spale_{debian}[\w.+~]+_\w+\.deb"}
    return {kind: re.compile(pattern) for kind, pattern in kinds.items()}


def missing(version: str, names: Iterable[str]) -> list[str]:
    """Return the kinds of artefacts that are not among `names`."""
    there = list(names)
    return [kind for kind, pattern in wanted(version).items() if not any(map(pattern.fullmatch, there))]


def strange(version: str, names: Iterable[str]) -> list[str]:
    """Return the names that no release of `version` has."""
    return [name for name in names if not any(each.fullmatch(name) for each in wanted(version).values())]
