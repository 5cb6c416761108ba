# SPDX-License-Identifier: MIT
"""Pins of the maps and programs, wherever a bpffs is: ``PIN_DIR/v<ABI>/net<INODE>-if<INDEX>…/NAME``.

A pin only hands over descriptors; removing it opens nothing. So nothing here is a reason not to start, or to
end: what fails is said. The folder's name says whose the pins are: of which network namespace and interfaces
(docs/adr/0073).
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from spale_bpf import _abi, libbpf
from spale_bpf.predecessor import READ, Predecessor, close_all, is_readable
from spale_core.errors import DataplaneError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from spale_bpf.interface import Interface

_USUAL = Path("/sys/fs/bpf")
_VERSION = f"v{_abi.ABI_VERSION}"
_PROGRAMS = ("spale_tc_eth", "spale_tc_l3", "spale_xdp")
_FOLDER = re.compile(r"(?:new-)?net([0-9]+)((?:-if[0-9]+)+)")
_WRITABLE = stat.S_IWGRP | stat.S_IWOTH


class Pins:
    """The pins of one daemon; `wanted` is PIN_MAPS: then they stay after a detach, and a bpffs is mounted."""

    def __init__(self, folder: Path | None, *, wanted: bool, say: Callable[[str], None]) -> None:
        """Pin below `folder`, nowhere if that is None; ``say(message)`` tells the administrator."""
        # A bpffs takes no dots in names; a percent sign is in no daemon's name.
        self._folder = None if folder is None else folder.with_name(folder.name.replace(".", "%"))
        self._wanted = wanted
        self._say = say
        self._said = ""
        self._at: Path | None = None

    def predecessor(self, interfaces: Iterable[Interface]) -> Predecessor | None:
        """Return what a daemon pinned that had one of these interfaces, None if nothing that can be read."""
        if self._folder is None or not _is_trusted(self._folder):
            return None
        found = []
        for path in _of_ours(self._folder / _VERSION, _Owner.of(interfaces)):
            maps = _open(path)
            if is_readable(maps):
                found.append(maps)
            else:
                close_all(maps)
        return Predecessor(found) if found else None

    def programs(self, interfaces: Iterable[Interface]) -> dict[int, int]:
        """Return descriptors of the programs that are pinned for one of these interfaces, by id.

        They are the caller's to close. Without CAP_SYS_ADMIN there is no other way to them.
        """
        found: dict[int, int] = {}
        if self._folder is None or not _is_trusted(self._folder):
            return found
        owner = _Owner.of(interfaces)
        for path in [path for each in self._folder.iterdir() for path in _of_ours(each, owner)]:
            for name in _PROGRAMS:
                with suppress(libbpf.LibbpfError):
                    descriptor = libbpf.get_pinned(path / name)
                    if found.setdefault(libbpf.prog_info(descriptor).id, descriptor) != descriptor:
                        os.close(descriptor)
        return found

    def renew(self, descriptors: Mapping[str, int], interfaces: Iterable[Interface]) -> None:
        """Pin these by name, in place of what an earlier daemon pinned for one of the interfaces."""
        if self._folder is None or not self._is_there(self._folder):
            return
        owner = _Owner.of(interfaces)
        try:
            _make_private(self._folder)
            version = self._folder / _VERSION
            version.mkdir(mode=0o700, exist_ok=True)
            earlier = {path for each in self._folder.iterdir() for path in _of_ours(each, owner)}
            # Under what were our interfaces until now; they may all be others by now.
            for path in earlier | {path for path in (self._at,) if path is not None and path.is_dir()}:
                _remove(path)
            draft = version / f"new-{owner.name}"
            draft.mkdir(mode=0o700)
            for name, descriptor in descriptors.items():
                libbpf.pin(descriptor, draft / name)
            self._at = draft.rename(version / owner.name)
        except (OSError, DataplaneError) as error:
            self._complain(f"nothing is pinned: {error}")
        else:
            self._said = ""

    def look_after(self, descriptors: Mapping[str, int], interfaces: Iterable[Interface]) -> None:
        """Pin again what is gone: a bpffs was unmounted, mounted late, or somebody removed the pins.

        So too where the interfaces are others by now, and the folder's name should say so.
        """
        owner = _Owner.of(interfaces)
        if self._at is None or self._at.name != owner.name or not self._at.is_dir():
            self.renew(descriptors, interfaces)

    def detached(self) -> None:
        """Remove the pins, unless they are to stay."""
        if self._at is not None and not self._wanted:
            with suppress(OSError):
                _remove(self._at)
            self._at = None

    def _is_there(self, folder: Path) -> bool:
        """Tell whether the folder is, or can be, in a bpffs; mount one if that is wanted."""
        nearest = next(path for path in (folder, *folder.parents) if path.exists())
        if libbpf.is_bpffs(nearest):
            return True
        if not self._wanted:
            return False
        if _USUAL not in folder.parents:
            self._complain(f"nothing is pinned: {folder} is in no bpffs; mount one there (mount -t bpf)")
            return False
        try:
            libbpf.mount_bpffs(_USUAL)
        except DataplaneError as error:
            self._complain(f"nothing is pinned: {error}")
            return False
        return True

    def _complain(self, message: str) -> None:
        """Say it, once."""
        if message != self._said:
            self._said = message
            self._say(message)


@frozen
class _Owner:
    """Whose pins: a network namespace's inode and interfaces' indices."""

    namespace: int
    indices: frozenset[int]

    @classmethod
    def of(cls, interfaces: Iterable[Interface]) -> _Owner:
        """Return who these interfaces of this network namespace are."""
        namespace = Path("/proc/thread-self/ns/net").stat().st_ino
        return cls(namespace, frozenset(interface.index for interface in interfaces))

    @property
    def name(self) -> str:
        """Return the name of the folder."""
        return f"net{self.namespace}" + "".join(f"-if{index}" for index in sorted(self.indices))

    def has_part_in(self, name: str) -> bool:
        """Tell whether the folder of that name is for one of the interfaces."""
        found = _FOLDER.fullmatch(name)
        if found is None or int(found[1]) != self.namespace:
            return False
        return not self.indices.isdisjoint(int(index) for index in found[2].split("-if")[1:])


def _of_ours(version: Path, owner: _Owner) -> Iterator[Path]:
    """Yield the folders of the interfaces' pins."""
    with suppress(OSError):
        yield from [path for path in version.iterdir() if owner.has_part_in(path.name)]


def _open(folder: Path) -> dict[str, int]:
    """Return the descriptors of the maps that are read, as far as they are there."""
    maps = {}
    for name in READ:
        with suppress(libbpf.LibbpfError):
            maps[name] = libbpf.get_pinned(folder / name)
    return maps


def _remove(folder: Path) -> None:
    """Remove a folder of pins; raise OSError."""
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def _make_private(folder: Path) -> None:
    """Make the folder; raise DataplaneError if somebody else may write it, OSError if it cannot be had."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _is_trusted(folder):
        raise DataplaneError(f"{folder} is no folder, or others may write it; remove it")


def _is_trusted(folder: Path) -> bool:
    """Tell whether it is a folder in a bpffs in which nobody else can have put a pin.

    Some bpffs can be written by all, as /tmp can; and what was pinned there says who is let in.
    """
    try:
        status = folder.lstat()
    except OSError:
        return False
    is_others = status.st_uid not in {0, os.geteuid()} or status.st_mode & _WRITABLE
    return not is_others and stat.S_ISDIR(status.st_mode) and libbpf.is_bpffs(folder)
