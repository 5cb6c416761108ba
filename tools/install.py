# SPDX-License-Identifier: MIT
"""`make install` and `make uninstall`: the program, the service, an example of a configuration.

Run by .venv/bin/python. What is installed there by hash is copied, and the five distributions are built anew,
so nothing is fetched and nothing outside of the destination is touched (docs/adr/0108). What is there already
and is not ours is neither replaced nor removed, nor is a configuration (docs/adr/0137).
"""

from __future__ import annotations

import argparse
import os
import shutil
from typing import TYPE_CHECKING

from installing import record
from installing.places import Places

if TYPE_CHECKING:
    from pathlib import Path


def install(places: Places, python: str | None) -> None:
    """Put everything in its place; a configuration that is there stays as it is."""
    # To uninstall must be possible without what is imported there.
    from installing.environment import compile_all, find_python, make_environment  # noqa: PLC0415 - see above

    interpreter = find_python(python)
    home, fresh, old = folders(places)
    record.refuse_strangers(fresh, old)
    put_back(old, home)
    before = record.read(home)
    plan = record.planned(places, before)
    remove(fresh)
    fresh.mkdir(parents=True)
    plan.write(fresh)  # first, so that it is known as ours however far it comes
    make_environment(fresh, interpreter, places)
    compile_all(fresh, places.home, interpreter)
    remove(old)
    if home.exists():
        home.rename(old)
    fresh.rename(home)
    remove(old)
    if before:
        gone = {name: known for name, known in before.files.items() if name not in plan.files}
        record.remove_files(places, gone)
    for link, target in places.links.items():
        link_to(places.on_disk(link), target)
    for path, text in places.texts.items():
        write(places.on_disk(path), text)
    configure(places)


def uninstall(places: Places) -> None:
    """Remove what `install` has put there; configuration, keys and state stay."""
    home, fresh, old = folders(places)
    put_back(old, home)
    found = record.read(home)
    if found:
        record.remove_files(places, found.files)
    for folder in (home, fresh, old):
        remove(folder)
    if found:
        record.remove_folders(places, found.folders)


def folders(places: Places) -> tuple[Path, Path, Path]:
    """Return where the environment is, where the next one is made, and where the last one waits for that."""
    home = places.on_disk(places.home)
    return home, home.with_name(".spale.new"), home.with_name(".spale.old")


def put_back(old: Path, home: Path) -> None:
    """Undo what an installation did that was ended between two renames."""
    if record.is_ours(old) and (old / record.NAME).exists() and not home.exists():
        old.rename(home)


def remove(folder: Path) -> None:
    """Remove a folder that is ours, by its record till the end; leave another's alone."""
    if not record.is_ours(folder):
        return
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != record.NAME:
            path.unlink()
    shutil.rmtree(folder)


def configure(places: Places) -> None:
    """Make the folder of the configuration, and put the example there if there is none."""
    folder = places.on_disk(places.configuration)
    (folder / "clients").mkdir(parents=True, exist_ok=True)
    config = folder / "spale.conf"
    if not (config.exists() or config.is_symlink()):
        write(config, places.example, mode=0o600)


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file, in one step, in place of what was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.write_text(text, "utf-8")
    fresh.chmod(mode)
    fresh.rename(path)


def link_to(path: Path, target: Path) -> None:
    """Make a link, in one step, in place of what was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.rename(path)


def main() -> None:
    """Do what the Makefile says."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("what", choices=("install", "uninstall"))
    parser.add_argument("--destdir", default="")
    for variable in ("prefix", "sysconfdir", "unitdir"):
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
