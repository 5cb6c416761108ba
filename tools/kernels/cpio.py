# SPDX-License-Identifier: MIT
"""Write an archive that a kernel unpacks as its first file system (newc: buffer-format.rst of its documents).

By hand, as it takes neither root nor a program to write device nodes and owners into it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

_ALIGNMENT = 4
_PERMISSIONS = 0o777


class Device(NamedTuple):
    """The two numbers of a device node."""

    major: int = 0
    minor: int = 0


class _Entry(NamedTuple):
    mode: int
    content: bytes | Path
    modified: int = 0
    device: Device = Device()


class Archive:
    """What is to be packed, by absolute path; folders come by themselves, root owns it all."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._entries: dict[Path, _Entry] = {}

    def copied(self) -> Archive:
        """Return another one of the same content."""
        other = Archive()
        other._entries.update(self._entries)
        return other

    def folder(self, path: Path) -> None:
        """Add an empty folder."""
        self._put(path, _Entry(stat.S_IFDIR | 0o755, b""))

    def text(self, path: Path, content: str, mode: int = 0o644) -> None:
        """Add a file of `content`."""
        self._put(path, _Entry(stat.S_IFREG | mode, content.encode()))

    def data(self, path: Path, content: bytes) -> None:
        """Add a file of `content`."""
        self._put(path, _Entry(stat.S_IFREG | 0o644, content))

    def link(self, path: Path, target: str) -> None:
        """Add a symbolic link."""
        self._put(path, _Entry(stat.S_IFLNK | _PERMISSIONS, os.fsencode(target)))

    def character_device(self, path: Path, device: Device) -> None:
        """Add a device node."""
        self._put(path, _Entry(stat.S_IFCHR | 0o600, b"", device=device))

    def copy(self, path: Path) -> None:
        """Add this host's file at `path` under the same path, with its time, and every link on the way to it.

        Python trusts what it has compiled only as long as the source has the time that it had then.
        """
        for step in (*reversed(path.parents), path):
            if step.is_symlink():
                self.link(step, str(step.readlink()))
                self.copy(_absolute(step.parent / step.readlink() / path.relative_to(step)))
                return
        found = path.stat()
        mode = stat.S_IFREG | stat.S_IMODE(found.st_mode) & _PERMISSIONS
        self._put(path, _Entry(mode, path, int(found.st_mtime)))

    def _put(self, path: Path, entry: _Entry) -> None:
        if path.parent not in self._entries and path.parent != path.parent.parent:
            self.folder(path.parent)
        self._entries[path] = entry

    def write(self, stream: IO[bytes]) -> None:
        """Write it all, parents before what is in them."""
        for number, (path, entry) in enumerate(sorted(self._entries.items()), 1):
            _write(stream.write, number, str(path)[1:], entry)
        _write(stream.write, 0, "TRAILER!!!", _Entry(0, b""))


def _absolute(path: Path) -> Path:
    """Return `path` without its `..`; links are left as they are."""
    return Path(os.path.normpath(path))


def _write(write: Callable[[bytes], object], number: int, name: str, entry: _Entry) -> None:
    content = entry.content if isinstance(entry.content, bytes) else entry.content.read_bytes()
    named = os.fsencode(name) + b"\0"
    owner, links = (0, 0), 1
    fields = (
        *(number, entry.mode, *owner, links, entry.modified, len(content)),
        *(0, 0, *entry.device, len(named), 0),
    )
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + named
    write(_padded(head))
    write(_padded(content))


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % _ALIGNMENT)
