# SPDX-License-Identifier: MIT
"""Make one executable file, FOLDER/spale: `python tools/onefile/build.py [FOLDER]`, by default dist.

`nox -s onefile` has the environment for it.
The wheels are made as for a release and installed there. PyInstaller puts them, this Python and the libraries
that it needs into one file, as spale.spec says. Built twice on one machine it is the same to the byte.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parents[2]
SPEC = Path(__file__).with_name("spale.spec")
WORK = ROOT / "build/onefile"
MOST_BYTES = 25_000_000
OLDEST, NEWEST = (3, 11), (3, 13)

Entry = tuple[str, str, str]
"""A file as PyInstaller lists it: its path inside, its path here, and DATA, for what is put in as it is."""


def build(folder: Path) -> None:
    """Put the one file into `folder`; exit if that cannot be."""
    refuse_python()
    shutil.rmtree(WORK, ignore_errors=True)
    date = subprocess.run([sys.executable, "tools/source_date.py"], cwd=ROOT, check=True, capture_output=True)
    environment = {
        **os.environ,
        "PATH": f"{sys.prefix}/bin{os.pathsep}{os.environ['PATH']}",
        "SOURCE_DATE_EPOCH": date.stdout.decode().strip(),
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": str(ROOT / "tools"),
        "PYINSTALLER_CONFIG_DIR": str(WORK / "cache"),
    }
    wheels = WORK / "wheels"
    run(environment, "tools/wheels.py", str(wheels))
    install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps")
    run(environment, *install, "--force-reinstall", *sorted(map(str, wheels.glob("*.whl"))))
    places = (f"--workpath={WORK / 'work'}", f"--distpath={folder}")
    run(environment, "-m", "PyInstaller", "--noconfirm", "--log-level=WARN", *places, str(SPEC))
    size = (folder / "spale").stat().st_size
    if size > MOST_BYTES:
        sys.exit(
            f"onefile: {size:,} bytes are more than {MOST_BYTES:,}; build/onefile/work says what they are"
        )
    sys.stdout.write(f"{size:>10,} {folder / 'spale'}\n")


def run(environment: dict[str, str], *words: str) -> None:
    """Run this Python with `words` from the top of the tree; exit if that fails."""
    code = subprocess.run([sys.executable, *words], cwd=ROOT, env=environment, check=False).returncode
    if code:
        sys.exit(code)


def refuse_python() -> None:
    """Exit unless this Python is one that makes a small file."""
    is_systems = Path(sys.base_prefix) == Path("/usr")
    if not (is_systems and OLDEST <= sys.version_info[:2] <= NEWEST):
        here, oldest, newest = (
            ".".join(map(str, version)) for version in (sys.version_info[:2], OLDEST, NEWEST)
        )
        sys.exit(
            f"onefile: this is Python {here} of {sys.base_prefix}; would be right: {oldest} to {newest} of a"
            " distribution, in /usr and with its libpython: Debian 12 and 13, Ubuntu 24.04"
        )


def package_data(package: str) -> list[Entry]:
    """Return what an installed `package` has beside its modules."""
    from importlib import resources  # noqa: PLC0415 - only once it is installed

    top = Path(str(resources.files(package)))
    found = [path for path in sorted(top.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
    return [
        (f"{package}/{path.relative_to(top)}", str(path), "DATA") for path in found if path.suffix != ".py"
    ]


def copyrights(libraries: Iterable[str]) -> list[Entry]:
    """Return what Debian's packages say about the rights to those of `libraries` that are theirs."""
    from dpkg import owner  # noqa: PLC0415 - tools/ is where Python looks only for what `run` starts

    ours = Path(sys.prefix)
    paths = [path.resolve() for path in map(Path, libraries)]
    owners = {path: owner(path) for path in paths if not path.is_relative_to(ours)}
    if unknown := sorted(str(path) for path, package in owners.items() if package is None):
        sys.exit(
            f"onefile: no package has {', '.join(unknown)}: nobody knows under which terms to pass that on"
        )
    packages = sorted({package.partition(":")[0] for package in owners.values() if package})
    files = [(package, Path("/usr/share/doc", package, "copyright")) for package in packages]
    return [(f"licenses/{package}.txt", str(file), "DATA") for package, file in files]


if __name__ == "__main__":
    os.umask(0o022)
    build(Path(sys.argv[1] if sys.argv[1:] else ROOT / "dist").absolute())
