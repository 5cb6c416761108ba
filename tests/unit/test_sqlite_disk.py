# SPDX-License-Identifier: MIT
"""Disks that are full, read-only or gone: the daemon goes on, says so, and the next start is not deceived.

Real file systems: a tmpfs of each test's own.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress

import pytest
from store_lab import THERE, Lab, enc

from spale_core.errors import ConfigError
from spale_core.stores.database import DiskError

pytestmark = pytest.mark.kernel

IN_MEMORY = "going on in memory, what is granted and used is forgotten when this daemon ends"


class Disk:
    """A tmpfs of 256 KiB."""

    def __init__(self, folder):
        """Mount it."""
        self.folder = folder
        folder.mkdir()
        _run("mount", "-t", "tmpfs", "-o", "size=256k,mode=0700", "tmpfs", str(folder))

    def fill(self):
        """Leave not one page."""
        with (self.folder / "filler").open("ab", buffering=0) as filler:
            for size in (65536, 4096, 1):
                with suppress(OSError):
                    while True:
                        filler.write(bytes(size))
        assert os.statvfs(self.folder).f_bfree == 0

    def empty(self):
        """Take away what filled it."""
        (self.folder / "filler").unlink()

    def remount(self, how):
        """Make it ``ro`` or ``rw``."""
        _run("mount", "-o", f"remount,{how}", str(self.folder))

    def close(self):
        """Unmount it, whoever is in it."""
        _run("umount", "--lazy", str(self.folder))


def _run(*command):
    subprocess.run(command, check=True, capture_output=True, timeout=10)


@pytest.fixture
def disk(tmp_path, require_kernel):
    """Return a disk."""
    del require_kernel
    disk = Disk(tmp_path / "disk")
    yield disk
    disk.close()


@pytest.fixture
def lab(disk, tmp_path):
    """Return a lab whose state folder is on the disk."""
    return Lab(disk.folder / "state", tmp_path / "run")


def marks(lab):
    """Return how many state folders are marked as not to be trusted."""
    return len(list(lab.runtime.iterdir())) if lab.runtime.exists() else 0


def test_full_while_it_runs(lab, disk):
    """It goes on: grants and knocks are taken, what is known stays known, and it says so once."""
    with lab.killed() as store:
        first = lab.hold(store)
        assert lab.use(store, 1)
        disk.fill()
        number = 1
        while lab.path.exists():
            number += 1
            assert lab.use(store, number)
        second = lab.hold(store, source=THERE)
        assert [message.endswith(IN_MEMORY) for message in lab.said[1:]] == [True]
        assert "full" in lab.said[1]
        assert not any(lab.use(store, used) for used in range(1, number + 1))
        assert set(store.live()) == {first, second}
        lab.said.clear()
    with lab.killed() as store:
        assert store.memory_lost
        assert "is not there" in lab.said[0]


def test_it_says_so_once_a_minute(lab, disk):
    """And no more often, however much happens."""
    with lab.killed() as store:
        disk.fill()
        for number in range(400):
            lab.host.clock.advance(0.5)
            lab.use(store, number)
    assert [message.endswith(IN_MEMORY) for message in lab.said[1:]].count(True) in {3, 4}


def test_it_writes_again_when_there_is_room(lab, disk):
    """Everything, within a minute, and says so; the next start believes it."""
    with lab.killed() as store:
        assert lab.use(store, 1)
        disk.fill()
        for number in range(2, 300):
            lab.use(store, number)
        assert not lab.path.exists()
        holding = lab.hold(store)
        disk.empty()
        lab.host.clock.advance(61)
        with store.transaction():
            pass
        assert lab.said[-1].endswith("is written again")
        lab.hold(store, "bob")
    with lab.killed() as store:
        assert not store.memory_lost
        assert holding in list(store.live())
        assert not any(lab.use(store, number, late_s=61) for number in range(1, 300))


def test_it_writes_at_its_end_when_there_is_room(lab, disk):
    """The last chance is taken: a clean restart then loses nothing."""
    with lab.opened() as store:
        disk.fill()
        for number in range(1, 300):
            lab.use(store, number)
        assert not lab.path.exists()
        disk.empty()
    with lab.opened() as store:
        assert not store.memory_lost
        assert not lab.use(store, 299)


def test_full_at_the_start_and_nothing_there(lab, disk):
    """It starts in memory, says so, and takes knocks."""
    disk.fill()
    with lab.opened() as store:
        assert store.memory_lost
        assert lab.use(store, 1)
        assert lab.hold(store) in list(store.live())
        assert lab.said[-1].endswith(IN_MEMORY)
    disk.empty()
    with lab.opened() as store:
        assert store.memory_lost


def test_full_at_the_start_of_the_next_one(lab, disk):
    """What can be read is known, and the next start believes no file that was left behind."""
    with lab.opened() as store:
        holding = lab.hold(store)
        assert lab.use(store, 1)
    disk.fill()
    with lab.killed() as store:
        assert (store.memory_lost, list(store.live())) == (False, [holding])
        assert not lab.use(store, 1)
        for number in range(2, 300):
            lab.use(store, number)
    disk.empty()
    with lab.opened() as store:
        assert store.memory_lost or not any(lab.use(store, number) for number in range(1, 300))


def test_read_only_at_the_start(lab, disk):
    """What can be read is known, it says what it does, and the file is moved aside by the next start."""
    with lab.opened() as store:
        holding = lab.hold(store)
        assert lab.use(store, 1)
    disk.remount("ro")
    with lab.opened() as store:
        assert (store.memory_lost, list(store.live())) == (False, [holding])
        assert not lab.use(store, 1)
        assert lab.use(store, 2)
        assert IN_MEMORY in lab.said[-1]
    assert marks(lab) == 1
    disk.remount("rw")
    lab.said.clear()
    with lab.opened() as store:
        assert store.memory_lost
        assert "from before a daemon that could not write it" in lab.said[0]
        assert ".damaged-" in lab.said[0]
    assert marks(lab) == 0
    with lab.opened() as store:
        assert not store.memory_lost


def test_read_only_and_nothing_there(lab, disk):
    """It starts in memory, and says so."""
    disk.remount("ro")
    with lab.opened() as store:
        assert store.memory_lost
        assert lab.use(store, 1)
        assert IN_MEMORY in lab.said[-1]
        assert "Read-only file system" in lab.said[-1]
    disk.remount("rw")
    with lab.opened() as store:
        assert store.memory_lost


def test_read_only_and_damaged(lab, disk):
    """It cannot be moved, and is not deleted when it could be: it starts in memory."""
    with lab.opened():
        pass
    lab.path.write_bytes(b"nothing of the kind")
    disk.remount("ro")
    lab.said.clear()
    with lab.killed() as store:
        assert store.memory_lost
        assert lab.use(store, 1)
        assert IN_MEMORY in lab.said[-1]
        disk.remount("rw")
        lab.host.clock.advance(61)
        assert lab.use(store, 2)
        assert lab.said[-1].endswith("is written again")
    (aside,) = [lab.folder / name for name in lab.files() if ".damaged-" in name]
    assert aside.read_bytes() == b"nothing of the kind"
    with lab.opened() as store:
        assert not store.memory_lost
        assert not lab.use(store, 1, late_s=61)


def test_read_only_while_it_runs(lab, disk):
    """As a disk with errors becomes: the stale file stays, and no later start believes it."""
    store = lab.make()
    assert lab.use(store, 1)
    store._file._database._connection.close()
    store._file._database = _Broken()
    disk.remount("ro")
    assert lab.use(store, 2)
    assert marks(lab) == 1
    assert lab.said[-1].endswith(IN_MEMORY)
    store._file.close()
    disk.remount("rw")
    with lab.opened() as store:
        assert store.memory_lost


class _Broken:
    """What a connection is to a disk that has gone."""

    def write(self, _changes, _header, **_how):
        """Fail as the database does."""
        raise DiskError("disk I/O error")

    def close(self):
        """Do nothing."""


def test_no_place_for_a_mark(lab, disk):
    """Where not even that can be written, the administrator is told what to do."""
    with lab.opened():
        pass
    lab.runtime.write_text("no folder")
    disk.remount("ro")
    with lab.opened():
        assert lab.said[-1].endswith(f"; remove {lab.path} before the next start, which else believes it")


def test_a_mark_goes_with_the_boot_or_with_a_new_file(lab, disk):
    """A daemon that ran in memory and got its disk back leaves a file that is believed."""
    with lab.opened():
        pass
    disk.remount("ro")
    with lab.killed() as store:
        assert lab.use(store, 1)
        assert marks(lab) == 1
        disk.remount("rw")
        lab.host.clock.advance(61)
        assert lab.use(store, 2)
        assert marks(lab) == 0
    with lab.opened() as store:
        assert (store.memory_lost, store.identities()) == (False, [enc(2)])


def test_a_folder_of_somebody_elses(lab):
    """Is a mistake of the configuration, for its owner may write there."""
    lab.make().close()
    os.chown(lab.folder, 65534, 65534)
    with pytest.raises(ConfigError, match=r"STATE_DIR: .*belongs to uid 65534"):
        lab.make()
