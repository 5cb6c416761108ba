# SPDX-License-Identifier: MIT
"""Whatever is put in a file's or a folder's place, and whenever: only what its owner wrote is ever read.

Another process swaps it all the time, by rename, so that each look may meet something else.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest

from spale_core.config.files import read_in_folder, read_trusted, trusted_folder
from spale_core.config.mistakes import BadValueError

SWAPPER = Path(__file__).parents[1] / "swapper.py"
STRANGER = 65534
GOOD, EVIL = b"good", b"evil"
ENOUGH = 20
PATIENCE_S = 10
ACL_VERSION = (2).to_bytes(4, "little")
USER_OBJ, USER, GROUP_OBJ, MASK, OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
NOBODY_IN_PARTICULAR = 0xFFFFFFFF

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


@pytest.fixture
def folder(tmp_path):
    """Return a folder of root's."""
    tmp_path.chmod(0o700)
    return tmp_path


def written(path, content=EVIL, mode=0o600):
    """Write a file of root's, and its folder if that is missing."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)
    return path


def given(path):
    """Give what is at `path` to a stranger."""
    os.chown(path, STRANGER, -1, follow_symlinks=False)
    return path


def a_link(folder, name):
    """Put in a link of root's, to a file that is root's, too."""
    path = folder / name
    path.symlink_to(written(folder / "elsewhere" / name))
    return path


def a_hard_link(folder, name):
    """Put in a second name of a stranger's file."""
    path = folder / name
    path.hardlink_to(given(written(folder / "elsewhere" / name)))
    return path


def a_pipe(folder, name):
    """Put in a pipe into which nobody writes."""
    os.mkfifo(folder / name, 0o600)
    return folder / name


def a_socket(folder, name):
    """Put in a socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.bind(str(folder / name))
    return folder / name


FILES = {
    "a link": a_link,
    "a hard link": a_hard_link,
    "a pipe": a_pipe,
    "a socket": a_socket,
    "a folder": lambda folder, name: written(folder / name / "x").parent,
    "a stranger's": lambda folder, name: given(written(folder / name)),
    "one that others write": lambda folder, name: written(folder / name, mode=0o622),
    "a secret that others read": lambda folder, name: written(folder / name, mode=0o640),
}


def a_folder(folder, name):
    """Make a folder of root's with evil files of root's."""
    written(folder / name / "file")
    return folder / name


def a_link_of_a_strangers(folder, name):
    """Put in a stranger's link to such a folder."""
    path = folder / name
    path.symlink_to(a_folder(folder, f"below-{name}"))
    return given(path)


def a_sticky_one(folder, name):
    """Make a folder like /tmp."""
    a_folder(folder, name).chmod(0o1777)
    return folder / name


def an_open_one(folder, name):
    """Make a folder that everybody may write."""
    a_folder(folder, name).chmod(0o777)
    return folder / name


FOLDERS = {
    "a stranger's link": a_link_of_a_strangers,
    "a stranger's": lambda folder, name: given(a_folder(folder, name)),
    "a sticky one": a_sticky_one,
    "an open one": an_open_one,
    "a file": lambda folder, name: written(folder / name),
}


@contextmanager
def swapping(path, others):
    """Swap what is at `path` all the time."""
    command = [sys.executable, str(SWAPPER), str(path), *map(str, others)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as swapper:
        try:
            assert swapper.stdout.readline() == b"begun\n"
            yield
            assert swapper.poll() is None
        finally:
            swapper.kill()


def outcomes(read):
    """Return how often `read` gave what, until it gave the good and refused, often enough each."""
    seen = Counter()
    deadline_s = time.monotonic() + PATIENCE_S
    while min(seen[GOOD], seen["refused"]) < ENOUGH and time.monotonic() < deadline_s:
        try:
            seen[read()] += 1
        except BadValueError:
            seen["refused"] += 1
    return seen


@pytest.mark.parametrize("kind", FILES)
def test_a_swapped_file(folder, kind):
    """By its path, or in the clients' folder."""
    path = written(folder / "file", GOOD)
    is_secret = "secret" in kind
    ways = [lambda: read_trusted(path, secret=is_secret)]
    with trusted_folder(folder) as descriptor:
        if not is_secret:
            ways.append(lambda: read_in_folder(descriptor, folder, "file"))
        with swapping(path, [FILES[kind](folder, "other")]):
            for read in ways:
                assert outcomes(read).keys() == {GOOD, "refused"}


@pytest.mark.parametrize(
    ("kind", "below"),
    # What lies deeper in a sticky folder and is root's is as good as any.
    [
        (kind, below)
        for kind in FOLDERS
        for below in (".", "deep/er")
        if below == "." or kind != "a sticky one"
    ],
)
def test_a_swapped_folder(folder, kind, below):
    """The one that the file is in, or one further up; also where the folder is opened to look for clients."""
    place = folder / "place"
    (place / below).mkdir(parents=True)
    written(place / below / "file", GOOD)
    other = FOLDERS[kind](folder, "other")
    if below != "." and other.is_dir():
        (other / below).mkdir(parents=True)
        written(other / below / "file", EVIL)

    def listed():
        with trusted_folder(place / below) as descriptor:
            return read_in_folder(descriptor, place / below, "file")

    with swapping(place, [other]):
        for read in (lambda: read_trusted(place / below / "file"), listed):
            assert outcomes(read).keys() == {GOOD, "refused"}


def test_the_command_reads_nothing_else(lab, tmp_path_factory):
    """`spale check`, a process of its own, under the same: what it says is of root's file, or a refusal."""
    lab.put()
    folder = tmp_path_factory.mktemp("evil")
    evil = lab.conf.read_text().replace("LISTEN_PORT=55555", "LISTEN_PORT=55666")
    others = []
    for number, kind in enumerate(("a link", "a hard link", "a pipe", "a stranger's")):
        other = FILES[kind](folder, f"other{number}")
        if kind != "a pipe":
            other.resolve().write_text(evil)
        others.append(other)
    command = [sys.executable, "-P", "-m", "spale_core.cli.main", "check", "-c", str(lab.conf)]
    with swapping(lab.conf, others):
        for _ in range(4):
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            assert "55666" not in done.stdout + done.stderr
            assert done.returncode in {0, 78}, done.stderr


def acl(*entries):
    """Return an access control list as the file system stores it (acl(5))."""
    packed = [
        tag.to_bytes(2, "little") + rights.to_bytes(2, "little") + who.to_bytes(4, "little")
        for tag, rights, who in entries
    ]
    return ACL_VERSION + b"".join(packed)


def put_acl(path, rights, mask):
    """Let a stranger have `rights` at `path`, as far as `mask` lets him."""
    content = acl(
        (USER_OBJ, 6, NOBODY_IN_PARTICULAR),
        (USER, rights, STRANGER),
        (GROUP_OBJ, 0, NOBODY_IN_PARTICULAR),
        (MASK, mask, NOBODY_IN_PARTICULAR),
        (OTHER, 0, NOBODY_IN_PARTICULAR),
    )
    try:
        os.setxattr(path, "system.posix_acl_access", content)
    except OSError as error:
        pytest.skip(f"no access control lists here: {error.strerror}")


@pytest.mark.parametrize(("rights", "is_secret"), [(6, False), (2, False), (4, True)])
def test_what_an_acl_gives_to_somebody_counts(folder, rights, is_secret):
    """Though the file is root's and its group may nothing; unless the mask takes it away again."""
    path = written(folder / "file", GOOD)
    put_acl(path, rights, rights)
    with pytest.raises(BadValueError, match="by others"):
        read_trusted(path, secret=is_secret)
    put_acl(path, rights, 0)
    assert read_trusted(path, secret=is_secret) == GOOD
