# SPDX-License-Identifier: MIT
"""Files and folders that nobody else may write, from the root of the file system down to the entry itself.

What is judged is what is used: each step opens the next name relative to the folder before it, without
following a link, and asks the descriptor. So a path that is swapped while we look at it cannot pass for the
one that was judged.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

from spale_core.config.mistakes import BadValueError, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 16 * 2**20
"""The largest file that is read; 10,000 clients with all their keys fit."""

_FOR_READING = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
_PIECE = 2**16
_MAX_LINKS = 40
_WRITABLE = stat.S_IWGRP | stat.S_IWOTH
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def read_trusted(path: str | os.PathLike[str], *, secret: bool = False) -> bytes:
    """Return the content of a file that nobody but root and ourselves may write, nor its folder nor a parent.

    With `secret` nobody else may read it either. Raises BadValueError.
    """
    text = os.fspath(path)
    with _holder(text) as (folder, name), _entry(folder, name or ".", text, _FOR_READING) as descriptor:
        content = _read(descriptor, text, secret=secret)
        _judge_own_folder(os.fstat(folder), text)
    return content


@contextmanager
def trusted_folder(path: str | os.PathLike[str]) -> Iterator[int]:
    """Open a folder that nobody but root and ourselves may write, nor a parent. Raises BadValueError."""
    text, flags = os.fspath(path), os.O_RDONLY | os.O_DIRECTORY
    with _holder(text) as (parent, name), _entry(parent, name or ".", text, flags) as descriptor:
        status = os.fstat(descriptor)
        _judge_owner(status, path)
        _judge_mode(status, path, _WRITABLE, "written", "go-w")
        yield descriptor


def read_in_folder(folder: int, folder_path: str | os.PathLike[str], name: str) -> bytes:
    """Return the content of the file `name` in a folder from `trusted_folder`; the same rules and error."""
    path = os.path.join(folder_path, name)  # noqa: PTH118 - called ten thousand times; pathlib is slow
    with _entry(folder, name, path, _FOR_READING) as descriptor:
        return _read(descriptor, path, secret=False)


def refuse_untrusted(path: str | os.PathLike[str]) -> None:
    """Judge a folder that may not be there yet, by the nearest parent that is. Raises BadValueError."""
    with _holder(os.fspath(path), missing_ok=True) as (folder, name):
        if not name:
            return
        try:
            descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        except FileNotFoundError:
            return
        try:
            status = os.fstat(descriptor)
        finally:
            os.close(descriptor)
    if not stat.S_ISDIR(status.st_mode):
        raise BadValueError(f"{shown(path)} is no folder; name one, or a path where one can be made")
    _judge_owner(status, path)
    _judge_mode(status, path, _WRITABLE, "written", "go-w")


def _read(descriptor: int, path: str, *, secret: bool) -> bytes:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise BadValueError(f"{shown(path)} is no regular file; name a file")
    _judge_owner(status, path)
    if secret:
        _judge_mode(status, path, _OTHERS, "read", "go=")
    _judge_mode(status, path, _WRITABLE, "written", "go-w")
    if status.st_size > MAX_BYTES:
        raise BadValueError(f"{shown(path)} has {status.st_size} bytes; at most {MAX_BYTES} are read")
    # Ten thousand keys are read so; a file object, with room for the largest file, costs more than the rest.
    content = b""
    while len(content) < MAX_BYTES and (piece := os.read(descriptor, _PIECE)):
        content += piece
    return content


def _judge_owner(status: os.stat_result, path: str | os.PathLike[str]) -> None:
    own = os.geteuid()
    if status.st_uid not in {0, own}:
        raise BadValueError(
            f"{shown(path)} belongs to uid {status.st_uid}; chown it to root" + (f" or {own}" if own else "")
        )


def _judge_mode(
    status: os.stat_result, path: str | os.PathLike[str], bits: int, verb: str, right: str
) -> None:
    mode = stat.S_IMODE(status.st_mode)
    if mode & bits:
        raise BadValueError(
            f"{shown(path)} may be {verb} by others (mode {mode:04o}); chmod {right} {shown(path)}"
        )


@contextmanager
def _entry(folder: int, name: str, path: str, flags: int) -> Iterator[int]:
    try:
        descriptor = os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        raise _refusal(error, path) from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _refusal(error: OSError, path: str) -> BadValueError:
    if error.errno == errno.ELOOP:
        return BadValueError(f"{shown(path)} is a symbolic link; name what it points to")
    if error.errno == errno.ENOENT:
        return BadValueError(f"{shown(path)} does not exist; create it, or name another")
    if error.errno == errno.ENOTDIR:
        return BadValueError(f"{shown(path)} is no folder; name a folder")
    if error.errno in {errno.EACCES, errno.EPERM}:
        return BadValueError(
            f"{shown(path)} cannot be opened by uid {os.geteuid()}; run as its owner or as root"
        )
    return BadValueError(f"{shown(path)} cannot be opened: {error.strerror}; name another")


@contextmanager
def _holder(path: str, *, missing_ok: bool = False) -> Iterator[tuple[int, str]]:
    """Open the folder that holds the last name of `path`; yield it with that name ("" for the root itself).

    With `missing_ok` a parent that is not there yields the nearest one that is, and "".
    """
    walk = _Walk(path)
    try:
        _judge_parent(os.fstat(walk.folder), "/")
        while len(walk.pending) > 1:
            try:
                walk.step()
            except FileNotFoundError as error:
                if missing_ok:
                    walk.pending.clear()
                    break
                raise _refusal(error, walk.reached()) from None
            except OSError as error:
                raise _refusal(error, walk.reached()) from None
        yield walk.folder, walk.pending[0] if walk.pending else ""
    finally:
        os.close(walk.folder)


class _Walk:
    """A way down from the root, one name at a time; `folder` is where it is, judged."""

    def __init__(self, path: str) -> None:
        """Stand at the root."""
        whole = os.path.join(os.getcwd(), path)  # noqa: PTH109,PTH118 - the text as it is, `..` included
        self.pending = deque(_names(whole))
        self._done: list[str] = []
        self._links = 0
        self.folder = _root()

    def reached(self) -> str:
        """Return the path of the last name taken."""
        return "/" + "/".join(self._done)

    def step(self) -> None:
        """Go down by one name, or put what a link says in its place. Raises OSError and BadValueError."""
        name = self.pending.popleft()
        self._done.append(name)
        descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.folder)
        try:
            status = os.fstat(descriptor)
            if stat.S_ISLNK(status.st_mode):
                self._follow(name, status)
                return
            if not stat.S_ISDIR(status.st_mode):
                raise NotADirectoryError(errno.ENOTDIR, "is no folder")
            _judge_parent(status, self.reached())
            self.folder, descriptor = descriptor, self.folder
        finally:
            os.close(descriptor)

    def _follow(self, name: str, status: os.stat_result) -> None:
        # Who may change a link is judged with its folder, except where that is sticky: there its owner may.
        _judge_owner(status, self.reached())
        self._links += 1
        if self._links > _MAX_LINKS:
            raise OSError(errno.EINVAL, "too many symbolic links")
        target = os.readlink(name, dir_fd=self.folder)
        self._done.pop()
        self.pending.extendleft(reversed(_names(target)))
        if target.startswith("/"):
            self._done.clear()
            os.close(self.folder)
            self.folder = _root()


def _root() -> int:
    return os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _names(path: str) -> list[str]:
    return [name for name in path.split("/") if name not in {"", "."}]


def _judge_parent(status: os.stat_result, path: str) -> None:
    """Judge a folder on the way: others may write it only if, as in /tmp, only owners rename."""
    _judge_owner(status, path)
    if not status.st_mode & stat.S_ISVTX:
        _judge_mode(status, path, _WRITABLE, "written", "go-w")


def _judge_own_folder(status: os.stat_result, path: str) -> None:
    """Judge the folder that a file is in: even in /tmp others could put one there that root once wrote.

    They need not write it for that: a link to it suffices, or that it lies in a folder of theirs.
    """
    mode = stat.S_IMODE(status.st_mode)
    if mode & _WRITABLE:
        raise BadValueError(
            f"{shown(path)} is in a folder where others may put files (mode {mode:04o}); move it to one that"
            " is yours alone"
        )
