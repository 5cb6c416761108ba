# SPDX-License-Identifier: MIT
"""How keys get onto the disk: for nobody else at any moment, whole or not at all, over nothing else."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from spale_core.cli import keygen
from spale_core.errors import CannotCreateError, PermissionDeniedError
from spale_core.newfiles import PRIVATE, PUBLIC, NewFile, make_folder, write_all
from spale_crypto_hpke import keys

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


@pytest.fixture
def pair(tmp_path: Path) -> tuple[NewFile, NewFile]:
    """Return two files to be."""
    return NewFile(tmp_path / "first", b"1", PRIVATE), NewFile(tmp_path / "second", b"2", PUBLIC)


def contents(folder: Path) -> dict[str, bytes]:
    """Return everything in a folder, hidden files too."""
    return {path.name: path.read_bytes() if path.is_file() else b"(folder)" for path in folder.iterdir()}


WATCHED = """
import io, json, os, stat, sys
from spale_core.cli import keygen

FILES = ("server.key", "server.key.pub")
seen = set()

def look():
    there = {entry.name: entry.stat(follow_symlinks=False).st_mode for entry in os.scandir(".")}
    for name, mode in there.items():
        with open(name, "rb") as file:
            content = file.read()
        kind = "private" if b"PRIVATE" in content else "public" if b"PUBLIC" in content else "other"
        seen.add((name if name in FILES else "draft", kind, stat.S_IMODE(mode)))
    seen.update((name, "gone", 0) for name in FILES if name not in there)

def watch(frame, event, function):
    # Before and after every call of Python into the system: whatever makes, fills, names or removes a file.
    if event in ("c_call", "c_return"):
        owner = getattr(function, "__self__", None)
        if function.__module__ in ("posix", "io", "_io") or isinstance(owner, io.IOBase):
            sys.setprofile(None)
            look()
            sys.setprofile(watch)

os.umask(0)
sys.setprofile(watch)
code = keygen.main(sys.argv[1:])
sys.setprofile(None)
print(json.dumps(sorted(seen)), file=sys.stderr)
sys.exit(code)
"""


def watched(folder: Path, *arguments: str) -> list[tuple[str, str, int]]:
    """Return all that spale-keygen made others see, under the most careless umask: name, content, mode."""
    command = [sys.executable, "-c", WATCHED, *arguments]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=True)
    return [tuple(each) for each in json.loads(result.stderr)]


def test_never_readable_by_others_for_a_moment(tmp_path: Path) -> None:
    """Between any two steps what has a private key in it is for its owner alone, and was so when empty."""
    seen = watched(tmp_path, "server")
    assert {(name, mode) for name, kind, mode in seen if kind == "private"} == {
        ("draft", 0o600),
        ("server.key", 0o600),
    }
    assert {mode for name, kind, mode in seen if (name, kind) == ("draft", "other")} == {0o600, 0o644}
    assert not [mode for *_, mode in seen if mode & 0o022]


def test_never_readable_by_others_when_forced(tmp_path: Path) -> None:
    """An open file in its place never holds the new key, nor is the name free for a moment."""
    (tmp_path / "server.key").write_bytes(b"old")
    (tmp_path / "server.key").chmod(0o666)
    seen = watched(tmp_path, "server", "--force")
    assert {each[1:] for each in seen if each[0] == "server.key"} == {("other", 0o666), ("private", 0o600)}
    assert {mode for _, kind, mode in seen if kind == "private"} == {0o600}


def test_a_failed_write_leaves_nothing(tmp_path: Path, pair: tuple[NewFile, NewFile]) -> None:
    """Neither a part of a file nor a draft of one remains when the second cannot be written."""
    with pytest.raises(CannotCreateError, match=os.strerror(errno.ENOENT)):
        write_all([pair[0], NewFile(tmp_path / "missing" / "second", b"2", PUBLIC)])
    assert contents(tmp_path) == {}


def test_force_changes_nothing_that_it_cannot_replace(tmp_path: Path, pair: tuple[NewFile, NewFile]) -> None:
    """A folder in the second's place is seen before the first is replaced."""
    (tmp_path / "first").write_bytes(b"mine")
    (tmp_path / "second").mkdir()
    with pytest.raises(CannotCreateError, match="second is a folder"):
        write_all(pair, overwrite=True)
    assert contents(tmp_path) == {"first": b"mine", "second": b"(folder)"}


def no_links(_: Path, path: Path) -> None:
    """Refuse to make a hard link, as FAT does."""
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(path))


def test_where_there_are_no_hard_links(tmp_path: Path, pair: tuple[NewFile, NewFile]) -> None:
    """On a memory stick, say, files appear whole, too, and with their modes."""
    write_all(pair, link=no_links)
    assert contents(tmp_path) == {"first": b"1", "second": b"2"}
    assert stat.S_IMODE((tmp_path / "first").stat().st_mode) == PRIVATE


def test_where_there_are_no_hard_links_nothing_is_overwritten(
    tmp_path: Path, pair: tuple[NewFile, NewFile]
) -> None:
    """What exists is in the way there, too, and the other file is taken back."""
    (tmp_path / "second").write_bytes(b"mine")
    with pytest.raises(CannotCreateError, match="second exists already"):
        write_all(pair, link=no_links)
    assert contents(tmp_path) == {"second": b"mine"}


def test_another_failure_of_a_link_is_one(tmp_path: Path, pair: tuple[NewFile, NewFile]) -> None:
    """Only a file system without links is gone around."""

    def denied(_: Path, path: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    with pytest.raises(PermissionDeniedError, match="may not write"):
        write_all(pair, link=denied)
    assert contents(tmp_path) == {}


def test_folders_are_for_their_owner(tmp_path: Path) -> None:
    """Under any umask nobody else may write a folder on the way to a key."""
    before = os.umask(0)
    try:
        make_folder(tmp_path / "a" / "b", 0o700)
    finally:
        os.umask(before)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a", "a/b")] == [0o700, 0o700]


def run(*command: str) -> None:
    """Run a command that must succeed."""
    subprocess.run(command, check=True, capture_output=True, timeout=10)


@pytest.fixture
def tiny_disk(tmp_path: Path, require_kernel: None) -> Iterator[Path]:
    """Return a folder on a disk of two pages."""
    del require_kernel
    folder = tmp_path / "disk"
    folder.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=8k,mode=0700", "tmpfs", str(folder))
    yield folder
    run("umount", "--lazy", str(folder))


def keygen_in(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run spale-keygen there; return its exit code and what it complained of."""
    command = [sys.executable, "-m", "spale_core.cli.keygen", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr


@pytest.mark.kernel
@pytest.mark.parametrize("arguments", [(), ("--force",)], ids=["new", "force"])
def test_a_full_disk(tiny_disk: Path, arguments: Sequence[str]) -> None:
    """What was there stays as it was, nothing half-written is left, and the sentence says why."""
    if arguments:
        assert keygen_in(tiny_disk, "server") == (0, "")
    else:
        (tiny_disk / "filler").write_bytes(bytes(4096))
    before = contents(tiny_disk)
    code, words = keygen_in(tiny_disk, "server", *arguments)
    assert code == 73
    assert os.strerror(errno.ENOSPC) in words
    assert contents(tiny_disk) == before


ELSEWHERE = """
import os, sys
for name in ("fcntl", "pwd", "grp", "termios", "resource", "spwd", "tty", "pty"):
    sys.modules[name] = None
for name in ("fchmod", "fchown", "geteuid", "getuid", "fork"):
    delattr(os, name)
for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_DIRECTORY", "O_PATH"):
    delattr(os, name)
from spale_core.cli import keygen
sys.exit(keygen.main(sys.argv[1:]))
"""


def test_on_a_system_that_is_no_unix(tmp_path: Path) -> None:
    """Without what Windows has not (modules, calls, flags) keys are made and shown all the same."""
    client = ("client", "--name", "a", "--bundle", "--server-pub", "server.key.pub")
    for arguments in (("server",), client, ("show", "a.key")):
        command = [sys.executable, "-c", ELSEWHERE, *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
    keys.read_key_file((tmp_path / "a.key").read_bytes())


def test_a_link_to_a_folder_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--out may be a link to a folder."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    assert keygen.main(["server", "--out", "link"]) == 0
    assert set(contents(tmp_path / "real")) == {"server.key", "server.key.pub"}
