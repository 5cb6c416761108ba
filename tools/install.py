# SPDX-License-Identifier: MIT
"""`make install` and `make uninstall`: the program, the service, an example of a configuration.

Run by .venv/bin/python. What is installed there by hash is copied, and the five distributions are built anew,
so nothing is fetched and nothing outside of the destination is touched (docs/adr/0108).
"""

from __future__ import annotations

import argparse
import os
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
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parent.parent
SHARE = ROOT / "spale_core/share"
"""Manual pages, and completion for shells."""

FOLDERS = ("bpf", "spale_core", "spale_crypto_hpke", "spale_tc", "spale_xdp")
EXTRAS = ("", "demo", "qr")
COMMANDS = {
    "spale": ("sbin", "spale_core.cli.main"),
    "spale-send": ("bin", "spale_core.cli.send"),
    "spale-keygen": ("bin", "spale_core.cli.keygen"),
}
HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
"""What the service cannot see."""

LAUNCHER = """\
#!{python} -I
import sys

from {module} import main

sys.exit(main())
"""


class Places:
    """Where things go: as they will be called, and behind `on_disk` where they are put now."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        """Take the variables of the Makefile."""
        self._destdir = arguments.destdir
        self.prefix = Path(arguments.prefix)
        self.home = self.prefix / "lib/spale"
        self.documents = self.prefix / "share/doc/spale"
        self.configuration = Path(arguments.sysconfdir) / "spale"
        self.unit = Path(arguments.unitdir) / "spale.service"
        self.sysusers = self.prefix / "lib/sysusers.d/spale.conf"
        self.tmpfiles = self.prefix / "lib/tmpfiles.d/spale.conf"
        for path in (self.prefix, self.configuration, self.unit):
            if not path.is_absolute():
                sys.exit(f"install: {path}: PREFIX, SYSCONFDIR and UNITDIR must be absolute paths")

    def on_disk(self, path: Path) -> Path:
        """Return where `path` is below DESTDIR."""
        return Path(f"{self._destdir}{path}")

    @property
    def links(self) -> dict[Path, Path]:
        """Return the commands, and what they link to."""
        return {
            self.prefix / folder / name: Path("../lib/spale/bin") / name
            for name, (folder, _) in COMMANDS.items()
        }

    @property
    def data(self) -> dict[Path, Path]:
        """Return the files that are text, and where they are now."""
        shared = (path for path in SHARE.rglob("*") if path.is_file())
        return {
            **{self.prefix / "share" / path.relative_to(SHARE): path for path in shared},
            self.unit: ROOT / "systemd/spale.service.in",
            self.sysusers: ROOT / "systemd/sysusers.conf",
            self.tmpfiles: ROOT / "systemd/tmpfiles.conf",
            self.documents / "sshd-requires-spale.conf": ROOT / "systemd/sshd-requires-spale.conf",
            self.documents / "without-cap-sys-admin.conf": ROOT / "systemd/without-cap-sys-admin.conf",
            self.documents / "spale.conf.example": ROOT / "docs/spale.conf.example",
        }


def install(places: Places, python: str | None) -> None:
    """Put everything in its place; a configuration that is there stays as it is."""
    interpreter = find_python(python)
    home = places.on_disk(places.home)
    refuse_strangers(home)
    fresh = home.with_name("spale.new")
    shutil.rmtree(fresh, ignore_errors=True)
    make_environment(fresh, interpreter, places.home)
    compile_all(fresh, places.home, interpreter)
    before = home.with_name("spale.old")
    shutil.rmtree(before, ignore_errors=True)
    if home.exists():
        home.rename(before)
    fresh.rename(home)
    shutil.rmtree(before, ignore_errors=True)
    for link, target in places.links.items():
        place = places.on_disk(link)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.symlink_to(target)
    for path, source in places.data.items():
        write(places.on_disk(path), fill_in(source.read_text(), places))
    configure(places)


def uninstall(places: Places) -> None:
    """Remove what `install` has put there; configuration, keys and state stay."""
    home = places.on_disk(places.home)
    refuse_strangers(home)
    for link, target in places.links.items():
        place = places.on_disk(link)
        if place.is_symlink() and place.readlink() == target:
            place.unlink()
    for path in places.data:
        places.on_disk(path).unlink(missing_ok=True)
    if places.on_disk(places.documents).is_dir():
        places.on_disk(places.documents).rmdir()
    shutil.rmtree(home, ignore_errors=True)


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


def refuse_strangers(home: Path) -> None:
    """Exit if `home` is there and is not what we make."""
    if home.exists() and not (home / "pyvenv.cfg").exists():
        sys.exit(f"install: {home} is there and is not ours; move it away")


def make_environment(folder: Path, python: Path, home: Path) -> None:
    """Make a virtual environment that will be called `home`, without pip, with all that spale needs."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = folder / "lib" / version / "site-packages"
    packages.mkdir(parents=True)
    (folder / "lib64").symlink_to("lib")
    config = f"home = {python.parent}\ninclude-system-site-packages = false\nversion = {version[6:]}\n"
    write(folder / "pyvenv.cfg", config)
    (folder / "bin").mkdir()
    (folder / "bin/python").symlink_to(python)
    (folder / "bin/python3").symlink_to("python")
    build(packages)
    for distribution in needed(metadata.distributions(path=[str(packages)])):
        copy(distribution, packages)
    for command, (_, module) in COMMANDS.items():
        text = LAUNCHER.format(python=home / "bin/python", module=module)
        write(folder / "bin" / command, text, mode=0o755)


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
        if ".." not in file.parts and "__pycache__" not in file.parts:
            place = packages / file
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(file.locate()), place)


def compile_all(folder: Path, home: Path, python: Path) -> None:
    """Compile now what the service, which may not write there, would compile at each start."""
    names = ("-s", str(folder), "-p", str(home))
    subprocess.run([python, "-I", "-m", "compileall", "-q", *names, folder / "lib"], check=True)


def fill_in(text: str, places: Places) -> str:
    """Return a template with the paths in it."""
    return text.replace("@SBINDIR@", str(places.prefix / "sbin"))


def configure(places: Places) -> None:
    """Make the folder of the configuration, and put the example there if there is none."""
    folder = places.on_disk(places.configuration)
    (folder / "clients").mkdir(parents=True, exist_ok=True)
    if not (folder / "spale.conf").exists():
        write(folder / "spale.conf", (ROOT / "docs/spale.conf.example").read_text(), mode=0o600)


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file, in one step, in place of what was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text)
    fresh.chmod(mode)
    fresh.rename(path)


def main() -> None:
    """Do what the Makefile says."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("what", choices=("install", "uninstall"))
    for variable in ("destdir", "prefix", "sysconfdir", "unitdir"):
        parser.add_argument(f"--{variable}", required=True)
    parser.add_argument("--python")
    arguments = parser.parse_args()
    os.umask(0o022)
    places = Places(arguments)
    if arguments.what == "install":
        install(places, arguments.python or None)
    else:
        uninstall(places)


if __name__ == "__main__":
    main()
