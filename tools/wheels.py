# SPDX-License-Identifier: MIT
"""Make sdists and wheels of the five distributions: `python tools/wheels.py FOLDER`.

Each wheel is built from its sdist, so that the sdist is whole, and what lies about in this tree goes nowhere.
The wheel of spale-bpf then gets its own libbpf (tools/libraries.py). Built twice, here or elsewhere, they are
the same to the byte, if clang and the libraries are. `nox -s build` has what it needs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import libraries
from auditwheel.wheeltools import InWheelCtx, add_platforms
from source_date import source_date
from terms import expression, with_terms
from tree import FOLDERS, ROOT

PACKAGE = "spale_bpf"
"""Whose wheel gets the libraries."""


def build(folder: Path) -> None:
    """Put sdists and wheels into `folder`, in place of those that are there."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        fresh = Path(name)
        for part in FOLDERS:
            _build(ROOT / part, fresh)
        (plain,) = fresh.glob(f"{PACKAGE}-*-any.whl")
        with_libraries(plain)
        plain.unlink()
        for old in (*folder.glob("spale*.whl"), *folder.glob("spale*.tar.gz")):
            old.unlink()
        for made in sorted(fresh.iterdir()):
            target = folder / made.name
            target.write_bytes(made.read_bytes())
            sys.stdout.write(f"{target.stat().st_size:>9,} {target.name}\n")


def _build(part: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(part)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{done.stdout}\nwheels: {part.name} cannot be built")


def with_libraries(wheel: Path) -> Path:
    """Write, beside `wheel`, one that has its own libbpf and says for which systems; return where it is."""
    found = libraries.needed()
    with InWheelCtx(wheel, wheel) as inside:
        (information,) = inside.path.glob("*.dist-info")
        own = inside.path / PACKAGE / "libs"
        libraries.copy_libraries(found, own)
        libraries.copy_licences(found, information / "licenses/libraries")
        texts = sorted(f"libraries/{path.name}" for path in (information / "licenses/libraries").iterdir())
        metadata = information / "METADATA"
        terms = expression(each.stem for each in found)
        metadata.write_text(with_terms(metadata.read_text(), terms, texts))
        return Path(add_platforms(inside, [libraries.policy(own).name]))


def main() -> None:
    """Build into the folder that is named."""
    os.umask(0o022)
    os.environ["SOURCE_DATE_EPOCH"] = str(source_date())
    build(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
