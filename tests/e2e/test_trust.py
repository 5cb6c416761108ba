# SPDX-License-Identifier: MIT
"""What somebody else could have put there no daemon uses: clients while it reloads, and pins."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from house import LOG_S
from reloading import RELOAD_S, Change
from rooms import Room

from spale_core.demo.poll import until

SWAPPER = Path(__file__).parents[1] / "unit" / "swapper.py"
STRANGER = 65534
RELOADS = 6


def test_clients_that_are_swapped_while_it_reloads(tc_house):
    """A stranger's folder, and a link to one of root's, take the place of the clients' all the time.

    Each reload holds with the clients of root, or fails, and nothing is changed.
    """
    change = Change(tc_house)
    ready = tc_house.guard()
    theirs = tc_house.folder / "theirs"
    shutil.copytree(change.clients, theirs)
    (theirs / "lost.pem").unlink()
    link = tc_house.folder / "link"
    link.symlink_to(shutil.copytree(theirs, tc_house.folder / "elsewhere"))
    os.chown(theirs, STRANGER, -1)
    daemon = tc_house.daemon
    command = [sys.executable, str(SWAPPER), str(change.clients), str(theirs), str(link)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as swapper:
        try:
            assert swapper.stdout.readline() == b"begun\n"
            for number in range(1, RELOADS + 1):
                os.kill(daemon.pid, signal.SIGHUP)
                assert until(
                    lambda number=number: len(daemon.events("reload")) + _failures(daemon) >= number, RELOAD_S
                )
        finally:
            swapper.kill()
    assert {event["clients"] for event in daemon.events("reload")} <= {ready["clients"]}
    said = {event["message"].partition("CLIENTS_DIR: ")[2] for event in daemon.events("reload_failed")}
    assert not [words for words in said if not re.search("belongs to uid 65534|is no folder", words)]


def _failures(daemon):
    """Return how many reloads have failed: each has said why, and once, since a line is for a mistake."""
    return sum(int(event.get("count", 1)) for event in daemon.events("reload_failed"))


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_pins_of_somebody_else(tc_house, kind):
    """In a bpffs that all may write: they are not read, the daemon guards all the same, and says so."""
    room = Room(tc_house, {"PIN_DIR": "/sys/fs/bpf/spale"})
    try:
        room.run("mount", "-t", "bpf", "-o", "mode=1777", "bpf", "/sys/fs/bpf")
        theirs = "/sys/fs/bpf/spale-office"
        if kind == "folder":
            room.run("mkdir", theirs)
            room.run("chown", str(STRANGER), theirs)
        else:
            room.run("mkdir", "/sys/fs/bpf/elsewhere")
            room.run("ln", "-s", "/sys/fs/bpf/elsewhere", theirs)
        daemon = room.guard("--name", "office")
        assert until(lambda: "others may write it; remove it" in daemon.log.read_text(), LOG_S)
        guest = tc_house.guest(4)
        tc_house.let_in("anna", guest)
        assert tc_house.all_open([guest])
    finally:
        tc_house.close()
        room.close()
