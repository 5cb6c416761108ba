# SPDX-License-Identifier: MIT
"""The daemon remembers: grants come back with what is left of them, whatever became of the state file."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from contextlib import closing, suppress

import pytest
from house import ALL, LOG_S, START_S
from rigging import CONFIG, Rig, used

from spale_core.control.client import Client
from spale_core.demo.poll import until
from spale_core.demo.processes import ProcessFailedError, run_tool

ENDS = pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])


@pytest.fixture
def remembering(tc_house):
    """Return a house whose daemons have a past of an hour."""
    Rig.remember(tc_house.config["STATE_DIR"])
    return tc_house


@pytest.fixture
def small_disk(tc_house):
    """Return the folder of a tmpfs of 256 KiB, where the house's state is."""
    folder = tc_house.folder / "disk"
    folder.mkdir()
    _run("mount", "-t", "tmpfs", "-o", "size=256k,mode=0700", "tmpfs", str(folder))
    tc_house.config["STATE_DIR"] = folder / "state"
    yield folder
    _run("umount", "--lazy", str(folder))


def _run(*command):
    subprocess.run(command, check=True, timeout=10)


@ENDS
def test_grants_come_back(house, end):
    """Whoever was let in is let in by the next daemon, and nobody else; it says how many."""
    house.guard()
    guests = house.guests()
    for guest in guests:
        house.let_in("anna", guest)
    house.daemon.stop(end)
    house.guard()
    assert house.daemon.events("restored") == [{"count": str(4 * len(guests)), "ended": "0"}]
    assert house.all_open(guests)
    assert house.all_shut(house.guests())


@ENDS
def test_with_what_is_left_of_them(tc_house, end, wait_until):
    """A grant that has used up a part of its time has the rest of it, and not more."""
    tc_house.guard(BRIEF_IDLE_SEC=8)
    guest, late = tc_house.guests()
    tc_house.let_in("anna", late)
    tc_house.admit("brief", guest)
    since = time.monotonic()
    tc_house.daemon.stop(end)
    wait_until(since + 1)
    tc_house.guard(BRIEF_IDLE_SEC=8)
    assert tc_house.daemon.events("restored") == [{"count": "8", "ended": "0"}]
    assert tc_house.all_open([late])
    wait_until(since + 8.1)
    assert tc_house.all_shut([guest])


def test_downtime_is_silence(tc_house, wait_until):
    """What ran out while no daemon ran does not come back."""
    tc_house.guard()
    guest = tc_house.guest(4)
    tc_house.let_in("brief", guest)
    since = time.monotonic()
    tc_house.daemon.stop()
    wait_until(since + 2.1)
    tc_house.guard()
    assert tc_house.daemon.events("restored") == [{"count": "0", "ended": "4"}]
    assert tc_house.all_shut([guest])


def test_use_is_in_the_store(tc_house, tmp_path, monkeypatch):
    """What packets extended is written by the end at the latest: a start that finds only the store knows."""
    rig = Rig(tmp_path / "site", monkeypatch)
    short = {**CONFIG, "ANNA_IDLE_SEC": 60, "ANNA_GRACE_SEC": 0}
    tc_house.guard(**short)
    guest = tc_house.guest(4)
    tc_house.let_in("anna", guest)
    rig.turn(slept_s=30, shift_s=30)
    with Client.connect(tc_house.config["SOCKET"]) as client:
        client.call("status")  # whoever answers has looked at the clocks before
    assert "suspended" in tc_house.daemon.log.read_text()
    assert tc_house.all_open([guest], ALL[:1])
    tc_house.daemon.stop()
    run_tool(tc_house.stage.server, "spale_core.cli.main", "detach")
    rig.turn(slept_s=65, shift_s=65)
    tc_house.guard(**short)
    assert tc_house.daemon.events("restored") == [{"count": "1", "ended": str(len(ALL) - 1)}]


def test_what_was_written_is_private(tc_house):
    """Folder 0700, files 0600."""
    tc_house.guard()
    tc_house.let_in("anna", tc_house.guest(4))
    folder = tc_house.config["STATE_DIR"]
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


@pytest.mark.parametrize("how", ["missing", "truncated", "corrupt"])
def test_a_file_that_cannot_be_used(remembering, how):
    """The daemon starts, says so, keeps the file, and refuses what may have been used; new knocks work."""
    remembering.guard()
    guest = remembering.guest(4)
    payload = used(remembering, guest)
    remembering.daemon.stop(signal.SIGKILL)
    path = remembering.config["STATE_DIR"] / "spale.db"
    damage = {
        "missing": path.unlink,
        "truncated": lambda: os.truncate(path, path.stat().st_size // 2),
        "corrupt": lambda: path.write_bytes(os.urandom(8192)),
    }
    damage[how]()
    assert "unbound_until" in remembering.guard()
    (said,) = remembering.daemon.events("store")
    assert str(path) in said["message"]
    assert (".damaged-" in said["message"]) is (how != "missing")
    thief = remembering.guest(4)
    with remembering.refuses("memory_lost", 1, thief):
        remembering.send(thief, payload)
    remembering.let_in("anna", guest)
    assert remembering.all_open([guest])


def test_a_newer_file(remembering):
    """Is refused: exit 69, with words, nothing attached and nothing changed."""
    path = remembering.config["STATE_DIR"] / "spale.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(ProcessFailedError, match="version 99") as failed:
        remembering.start().wait_for("ready", timeout_s=START_S)
    assert failed.value.exit_code == os.EX_UNAVAILABLE
    assert path.read_bytes() == before
    assert not remembering.daemon.events("attach")


def test_a_file_that_somebody_has_open(remembering):
    """Is refused: exit 69, with words, nothing attached and nothing changed."""
    path = remembering.config["STATE_DIR"] / "spale.db"
    before = path.read_bytes()
    with closing(sqlite3.connect(path, isolation_level=None)) as somebody:
        somebody.execute("BEGIN EXCLUSIVE")
        with pytest.raises(ProcessFailedError, match=f"another process has {path} open") as failed:
            remembering.start().wait_for("ready", timeout_s=START_S)
    assert failed.value.exit_code == os.EX_UNAVAILABLE
    assert not remembering.daemon.events("attach")
    assert path.read_bytes() == before


def test_a_state_folder_that_is_taken(house):
    """A second daemon that is given the same folder, for another door, is refused: exit 69, with words."""
    house.stage.server.cable("door1", house.stage.client, "knock1")
    house.guard()
    first = house.daemon
    changes = {"IFACE": "door1", "LISTEN_PORT": 55556, "SOCKET": house.folder / "second.sock"}
    with pytest.raises(ProcessFailedError, match="another daemon has the state folder") as failed:
        house.start(**changes).wait_for("ready", timeout_s=START_S)
    assert failed.value.exit_code == os.EX_UNAVAILABLE
    house.daemon = first
    house.let_in("anna", house.guest(4))


def fill(disk):
    """Leave not one page."""
    with (disk / "filler").open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(bytes(1024))


def test_a_disk_that_is_read_only(tc_house, small_disk):
    """What can be read is known: grants go on, what was used stays so. The next start believes nothing."""
    Rig.remember(tc_house.config["STATE_DIR"])
    tc_house.guard()
    guest, thief = tc_house.guests()
    payload = used(tc_house, guest)
    tc_house.daemon.stop()
    _run("mount", "-o", "remount,ro", str(small_disk))
    assert "unbound_until" not in tc_house.guard()
    assert "going on in memory" in tc_house.daemon.events("store")[-1]["message"]
    assert tc_house.all_open([guest])
    with tc_house.refuses("replay", 1, thief):
        tc_house.send(thief, payload)
    used(tc_house, thief)
    tc_house.daemon.stop()
    _run("mount", "-o", "remount,rw", str(small_disk))
    assert "unbound_until" in tc_house.guard()
    assert "from before a daemon that could not write it" in tc_house.daemon.events("store")[0]["message"]


def test_a_disk_that_is_full_at_the_start(tc_house, small_disk):
    """The daemon starts in memory, says so, and lets people in."""
    fill(small_disk)
    assert "unbound_until" in tc_house.guard()
    assert "going on in memory" in tc_house.daemon.events("store")[-1]["message"]
    guest = tc_house.guest(4)
    tc_house.let_in("anna", guest)
    assert tc_house.all_open([guest])


def test_a_disk_that_fills_up(tc_house, small_disk):
    """The daemon goes on, says so, lets people in, and the next start says that it has lost its memory."""
    tc_house.guard()
    fill(small_disk)

    def has_noticed():
        tc_house.knock("anna", tc_house.guest(4))
        return len(tc_house.daemon.events("store")) > 1

    assert until(has_noticed, LOG_S)
    assert "going on in memory" in tc_house.daemon.events("store")[-1]["message"]
    guests = tc_house.guests()
    for guest in guests:
        tc_house.let_in("usher", guest)
    tc_house.daemon.stop(signal.SIGKILL)
    assert "unbound_until" in tc_house.guard()
