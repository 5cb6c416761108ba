# SPDX-License-Identifier: MIT
"""Write an SBOM beside each artefact of a release: `python tools/sboms.py FOLDER` (docs/adr/0148).

NAME.cdx.json says what NAME contains and what it declares to need, in CycloneDX's JSON. Run by `nox -s sbom`
on the machine that built the artefacts, in an environment with the packages of requirements/release.txt.
"""

from __future__ import annotations

import sys
from pathlib import Path

from releasing.artefacts import SBOM, artefacts
from sbom.contents import read
from sbom.debian import SOURCES, Packages
from sbom.distributions import pins
from sbom.document import InvalidError, document
from sbom.parts import UnknownOriginError
from source_date import source_date
from terms import LICENCES

ROOT = Path(__file__).resolve().parent.parent


def write(folder: Path) -> int:
    """Write the SBOM of each artefact in `folder`, remove others, and return how many there are."""
    packages = Packages({**LICENCES, **SOURCES})
    pinned = pins((ROOT / "requirements/base.txt").read_text(encoding="utf-8"))
    found = artefacts(folder)
    for artefact in found:
        contents = read(artefact, packages, pinned)
        text = document(contents, source_date())
        artefact.with_name(f"{artefact.name}{SBOM}").write_text(text, encoding="utf-8")
        sys.stdout.write(f"{len(contents.parts):>4} components  {artefact.name}\n")
    for old in sorted(folder.glob(f"*{SBOM}")):
        if not old.with_name(old.name.removesuffix(SBOM)).exists():
            old.unlink()
    return len(found)


def main() -> None:
    """Write those of the folder that is named; exit if there is none, or one has something unknown in it."""
    folder = Path(sys.argv[1])
    try:
        count = write(folder)
    except (UnknownOriginError, InvalidError) as error:
        sys.exit(f"sbom: {error}")
    if not count:
        sys.exit(f"sbom: {folder} has no artefact; nox -s build makes wheels, onefile and deb the others")


if __name__ == "__main__":
    main()
