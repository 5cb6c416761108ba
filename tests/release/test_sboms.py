# SPDX-License-Identifier: MIT
"""What `nox -s sbom` has made: each artefact has an SBOM that is valid, of this very file, and whole."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from releasing.artefacts import SBOM, artefacts
from releasing.files import digest

DIST = Path(os.environ.get("SPALE_DIST", Path(__file__).resolve().parents[2] / "dist"))
CONTAINED = {
    "wheel of spale-bpf": ("spale_bpf-*.whl", {"libbpf1", "libelf1", "zlib1g"}),
    "one file": (
        "spale",
        {"spale-core", "spale-bpf", "spale-tc", "cryptography", "attrs", "pluggy", "libbpf1", "pyinstaller"},
    ),
    "Debian package": (
        "spale_*.deb",
        {"spale-core", "spale-bpf", "spale-tc", "cryptography", "attrs", "pluggy"},
    ),
}
"""What an artefact is known to hold, whatever else."""


@pytest.fixture(scope="module")
def sboms():
    """Return the SBOM of each artefact by its name."""
    found = artefacts(DIST)
    if not found:
        pytest.fail(f"{DIST} has no artefact: .venv/bin/nox -s build onefile deb sbom", pytrace=False)
    return {path.name: json.loads((DIST / f"{path.name}{SBOM}").read_text()) for path in found}


def test_each_artefact_has_its_own(sboms):
    """The sum in it is the file's; the serial number is as good as a sum: no two are the same."""
    for name, sbom in sboms.items():
        assert (sbom["bomFormat"], sbom["specVersion"]) == ("CycloneDX", "1.6")
        assert sbom["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": digest(DIST / name)}]
    assert len({sbom["serialNumber"] for sbom in sboms.values()}) == len(sboms)


def test_what_is_contained_has_version_licence_and_origin(sboms):
    """Only what is left to who installs it has no version."""
    for name, sbom in sboms.items():
        for part in sbom["components"]:
            notes = {note["name"]: note["value"] for note in part.get("properties", ())}
            assert part["purl"].startswith("pkg:"), name
            if notes.get("spale:relation") != "declared":
                assert part["version"], part["purl"]
                assert part["licenses"], part["purl"]


@pytest.mark.parametrize("kind", CONTAINED)
def test_what_is_known_to_be_inside_is_listed(sboms, kind):
    """With what is linked into cryptography: OpenSSL, which is not in any list of packages."""
    pattern, wanted = CONTAINED[kind]
    paths = list(DIST.glob(pattern))
    if not paths:
        pytest.fail(f"{DIST} has no {kind}: .venv/bin/nox -s build onefile deb sbom", pytrace=False)
    parts = {part["name"]: part for part in sboms[paths[0].name]["components"]}
    assert wanted <= set(parts)
    if "cryptography" in wanted:
        assert "openssl" in {part["name"] for part in parts["cryptography"]["components"]}


def test_nothing_tells_of_the_machine(sboms):
    """No path of who built it is in an SBOM."""
    for name, sbom in sboms.items():
        text = json.dumps(sbom)
        assert str(Path.home()) not in text, name
        assert str(DIST.parent) not in text, name
