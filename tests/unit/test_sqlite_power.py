# SPDX-License-Identifier: MIT
"""Power loss: what was not synced is gone, and the next start must not believe that all is there.

A real ext4 in a file, by a loop device: what has reached that file is what a disk would have.
"""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress

import pytest
from store_lab import Lab

pytestmark = pytest.mark.kernel

BYTES = 8 << 20


class Disk:
    """An ext4 whose power can be cut."""

    def __init__(self, tmp_path):
        """Make and mount it; skip the test where nobody can."""
        self.folder, self._image = tmp_path / "disk", tmp_path / "image"
        self.folder.mkdir()
        with self._image.open("wb") as image:
            image.truncate(BYTES)
        try:
            _run("mkfs.ext4", "-q", "-m", "0", str(self._image))
            self._mount()
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no ext4 by a loop device: {error}")

    def _mount(self):
        # Nothing is written before somebody asks for it.
        _run("mount", "-o", "loop,commit=300", str(self._image), str(self.folder))

    def sync(self):
        """Write everything, as the kernel does by itself after half a minute."""
        _run("sync", "--file-system", str(self.folder))

    def fill(self):
        """Leave no block."""
        with (self.folder / "filler").open("ab", buffering=0) as filler:
            for size in (65536, 1024):
                with suppress(OSError):
                    while True:
                        filler.write(bytes(size))

    def cut(self):
        """Cut the power, and mount what is left."""
        left = self._image.with_name("left")
        shutil.copyfile(self._image, left)
        self.close()
        left.replace(self._image)
        self._mount()

    def close(self):
        """Unmount it, whoever is in it."""
        _run("umount", "--lazy", str(self.folder))


def _run(*command):
    subprocess.run(command, check=True, capture_output=True, timeout=20)


@pytest.fixture
def disk(tmp_path):
    """Return a disk."""
    disk = Disk(tmp_path)
    yield disk
    disk.close()


@pytest.fixture
def lab(disk, tmp_path):
    """Return a lab on the disk; a daemon has been there, was stopped, and all that it wrote is written."""
    lab = Lab(disk.folder / "state", tmp_path / "run")
    lab.make().close()
    disk.sync()
    lab.host.clock.advance(3600)
    return lab


def loses_memory(lab, disk):
    """Tell whether the next boot, a moment after the power was cut, knows that it may not know all."""
    disk.cut()
    lab.host.reboot(5)
    with lab.opened() as store:
        return store.memory_lost and store.lost_unix_ms == lab.host.clock.unix_ms()


def test_soon_after_a_start(lab, disk):
    """The clean end of the daemon before, which the disk still has, does not count any more."""
    with lab.killed() as store:
        assert not store.memory_lost
        assert lab.use(store, 1)
        assert loses_memory(lab, disk)


def test_soon_after_a_start_in_another_boot(lab, disk):
    """Nor that of an earlier boot."""
    lab.host.reboot(5)
    with lab.killed() as store:
        assert not store.memory_lost
        assert lab.use(store, 1)
        assert loses_memory(lab, disk)


def test_soon_after_a_start_on_a_full_disk(lab, disk):
    """A file that could not be written is not there again."""
    lab.path.with_name("spale.db-journal").unlink()
    disk.fill()
    disk.sync()
    with lab.killed() as store:
        assert not store.memory_lost
        assert "going on in memory" in lab.said[-1]
        assert lab.use(store, 1)
        assert loses_memory(lab, disk)


def test_after_a_clean_end(lab, disk):
    """That was written: nothing is lost."""
    with lab.opened() as store:
        assert lab.use(store, 1)
    disk.sync()
    disk.cut()
    lab.host.reboot(5)
    with lab.opened() as store:
        assert not store.memory_lost
        assert not lab.use(store, 1, late_s=6)
