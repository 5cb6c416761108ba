# SPDX-License-Identifier: MIT
"""The state folder: one daemon's at a time, and nobody else's to enter."""

from __future__ import annotations

import sqlite3

import pytest
from store_lab import FakeHost, Lab

from spale_core.errors import ConfigError, StoreError


@pytest.fixture
def lab(tmp_path):
    """Return a lab whose state file has seen a daemon."""
    lab = Lab(tmp_path / "state", tmp_path / "run")
    lab.make().close()
    return lab


def test_a_second_daemon(lab):
    """Is refused with words, and the first one goes on."""
    with lab.opened() as store:
        with pytest.raises(StoreError, match="another daemon has the state folder") as caught:
            lab.make()
        assert caught.value.exit_code == 69
        assert lab.use(store, 3)
    with lab.opened() as store:
        assert not lab.use(store, 3)


def test_a_second_process_at_the_file(lab):
    """The file is locked too: whoever looks with sqlite3 while a daemon runs gets nothing."""
    with lab.opened():
        connection = sqlite3.connect(lab.path, timeout=0)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            connection.execute("SELECT * FROM used")
        connection.close()


def test_somebody_looks_at_the_file(lab):
    """Whoever has it open keeps a daemon from starting; its words name the file, and nothing is moved."""
    connection = sqlite3.connect(lab.path, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError, match=f"another process has {lab.path} open"):
        lab.make()
    connection.close()
    assert lab.files() == ["spale.db"]
    with lab.opened() as store:
        assert not store.memory_lost


def test_somebody_only_reads_the_file(lab):
    """He keeps nobody from starting: what it says is known, and it is written anew a minute later."""
    with lab.opened() as store:
        assert lab.use(store, 1)
    connection = sqlite3.connect(lab.path, isolation_level=None)
    connection.execute("BEGIN")
    connection.execute("SELECT * FROM used").fetchall()
    with lab.killed() as store:
        assert (store.memory_lost, lab.use(store, 1)) == (False, False)
        assert "going on in memory" in lab.said[-1]
        lab.host.clock.advance(61)
        assert lab.use(store, 2)
        assert lab.said[-1].endswith("is written again")
    connection.close()
    with lab.opened() as store:
        assert (store.memory_lost, lab.use(store, 2, late_s=0)) == (False, False)


def test_a_loss_counts_from_when_the_folder_was_free(lab):
    """What the daemon that had it until then took is refused at later starts, too."""
    first = lab.make()
    lab.path.unlink()
    last_of_first_ms = 0

    class Waiting(FakeHost):
        def read(self):
            """Let the other daemon end only after this one has looked at the clock."""
            nonlocal last_of_first_ms
            now = super().read()
            if not last_of_first_ms:
                self.clock.advance(1)
                last_of_first_ms = self.clock.unix_ms()
                first._file.close()
            return now

    lab.host = Waiting()
    with lab.opened() as store:
        assert store.lost_unix_ms == last_of_first_ms


@pytest.mark.parametrize(("name", "mode"), [("", 0o770), ("spale.db", 0o666), ("spale.db-journal", 0o620)])
def test_what_others_may_write(lab, name, mode):
    """Is a mistake of the configuration, exit 78."""
    (lab.folder / name).chmod(mode)
    with pytest.raises(ConfigError, match=r"STATE_DIR: .*may be written by others") as caught:
        lab.make()
    assert caught.value.exit_code == 78


def test_a_folder_of_ours_that_others_may_enter(lab):
    """Is made ours alone."""
    lab.folder.chmod(0o755)
    with lab.opened() as store:
        assert not store.memory_lost
    assert lab.folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_is_not_ours_alone(lab):
    """Is left as it is, and refused with words."""
    (lab.folder / "somebody's").touch()
    lab.folder.chmod(0o755)
    with pytest.raises(ConfigError, match="may be entered by others"):
        lab.make()
    assert lab.folder.stat().st_mode & 0o777 == 0o755
