# SPDX-License-Identifier: MIT
"""The environment that an installation runs in: the five distributions and what they need, from .venv."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from contextlib import chdir
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import hatchling.build
from installing.places import COMMANDS
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tree import FOLDERS, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from installing.places import Places

EXTRAS = ("", "demo", "qr")
HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
"""What the service cannot see."""

FIRST_LINE_BYTES = 127
"""What Linux before 5.1 reads of a script's first line."""

LAUNCHER = """\
{interpreter}
import sys

from {module} import main

sys.exit(main())
"""
THROUGH_SHELL = """\
#!/bin/sh
'''exec' "{python}" -I "$0" "$@"
' '''"""
"""For a path that the kernel cannot read in a script's first line: sh executes what is a text to Python."""


def find_python(wanted: str | None) -> Path:
    """Return a Python as .venv has it, of the system if it has one; exit if `wanted` is another one."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    base = Path(sys.base_prefix) / "bin" / f"python{version}"
    candidates = [Path(wanted)] if wanted else [Path(f"/usr/bin/python{version}"), base]
    for candidate in candidates:
        asked = [str(candidate), "-IS", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        try:
            answer = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
        except OSError:
            continue
        if answer == version:
            found = candidate.absolute()
            if any(found.resolve().is_relative_to(folder) for folder in HOMES):
                sys.stderr.write(f"install: warning: a service cannot see {found}: set ProtectHome=no\n")
            return found
    sys.exit(f"install: no Python {version}, which .venv has, at {' or '.join(map(str, candidates))}")


def make_environment(folder: Path, python: Path, places: Places) -> None:
    """Make what will be `places.home`: a virtual environment without pip, with all that spale needs.

    By hand, because what `venv` writes names the folder in which it is made.
    """
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = folder / "lib" / version / "site-packages"
    packages.mkdir(parents=True)
    (folder / "lib64").symlink_to("lib")
    config = f"home = {python.parent}\ninclude-system-site-packages = false\nversion = {version[6:]}\n"
    (folder / "pyvenv.cfg").write_text(config)
    (folder / "bin").mkdir()
    (folder / "bin/python").symlink_to(python)
    (folder / "bin/python3").symlink_to("python")
    build(packages)
    for path in sorted(packages.rglob("*.py")):
        text = path.read_text("utf-8")
        if (configured := places.configured(text)) != text:
            path.write_text(configured, "utf-8")
    for distribution in needed(metadata.distributions(path=[str(packages)])):
        copy(distribution, packages)
    for command, (_, module) in COMMANDS.items():
        script = folder / "bin" / command
        script.write_text(launcher(places.home / "bin/python", module))
        script.chmod(0o755)


def launcher(python: Path, module: str) -> str:
    """Return the script that runs `module` by the Python of the environment, alone with what is in there."""
    first = f"#!{python} -I"
    if " " in str(python) or len(first) > FIRST_LINE_BYTES:
        first = THROUGH_SHELL.format(python=python)
    return LAUNCHER.format(interpreter=first, module=module)


def build(packages: Path) -> None:
    """Build the five distributions and unpack them into `packages`."""
    with tempfile.TemporaryDirectory() as wheels:
        for part in FOLDERS:
            with chdir(ROOT / part):
                wheel = Path(wheels) / hatchling.build.build_wheel(wheels)
            archive = zipfile.ZipFile(wheel)
            # What is for share/ is copied there, with the other texts.
            archive.extractall(packages, [name for name in archive.namelist() if ".data/" not in name])


def needed(ours: Iterable[metadata.Distribution]) -> list[metadata.Distribution]:
    """Return what others have made that ours need, and what that needs; exit if .venv lacks any of it."""
    waiting = list(ours)
    known = {canonicalize_name(each.name) for each in waiting}
    found = []
    while waiting:
        for requirement in map(Requirement, waiting.pop().requires or ()):
            name, marker = canonicalize_name(requirement.name), requirement.marker
            if name in known or (marker and not any(marker.evaluate({"extra": each}) for each in EXTRAS)):
                continue
            try:
                found.append(metadata.distribution(name))
            except metadata.PackageNotFoundError:
                sys.exit(f"install: .venv lacks {name}; run: make venv")
            known.add(name)
            waiting.append(found[-1])
    return found


def copy(distribution: metadata.Distribution, packages: Path) -> None:
    """Copy what a distribution has in site-packages; scripts it may have are not for us."""
    for file in distribution.files or ():
        if _is_left_out(str(file)):
            continue
        place = packages / file
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(str(file.locate()), place)
        if file.name == "RECORD":
            lines = place.read_text("utf-8").splitlines(keepends=True)
            place.write_text("".join(line for line in lines if not _is_left_out(line)), "utf-8")


def _is_left_out(entry: str) -> bool:
    """Tell whether a file, or its line in RECORD, is not copied: scripts, and what is of .venv alone."""
    return re.match(r"\.\./|.*\b__pycache__/|.*\bdirect_url\.json\b", entry) is not None


def compile_all(folder: Path, home: Path, python: Path) -> None:
    """Compile now what the service, which may not write there, would compile at each start."""
    names = ("-s", str(folder), "-p", str(home))
    subprocess.run([python, "-I", "-m", "compileall", "-q", *names, folder / "lib"], check=True)
