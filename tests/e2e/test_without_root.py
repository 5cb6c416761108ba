# SPDX-License-Identifier: MIT
"""A daemon that is not root, and has CAP_NET_ADMIN, CAP_BPF and CAP_PERFMON alone."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from house import ALL, START_S
from lines import DESK, Desk
from prying import EVERYBODY_MAY_USE_BPF, map_error, pry
from rooms import Room
from strangers import Pest

from spale_core.demo.processes import ProcessFailedError

UID = 65533
CAPABILITIES = "-all,+net_admin,+bpf,+perfmon"
HOME = Path("/mnt")
PORTS = ",".join(map(str, (*ALL, DESK)))
IDLE_S = 2


class OfficeOf(Room):
    """A room whose daemons are somebody's: keys, state, pins and /run/spale are his."""

    become = (
        *(shutil.which("setpriv"), f"--reuid={UID}", f"--regid={UID}", "--clear-groups"),
        *(f"--{kind}={CAPABILITIES}" for kind in ("bounding-set", "inh-caps", "ambient-caps")),
    )

    def furnish(self):
        """Give him what is his; skip the test where he cannot even read our programs."""
        command = [*self.become, sys.executable, "-c", "import spale_core"]
        if subprocess.run(command, capture_output=True, timeout=10, check=False).returncode:
            pytest.skip("no setpriv, or another user cannot read our programs")
        self.mount()
        Path("/run/spale").mkdir(mode=0o755, exist_ok=True)
        for folder in (HOME, Path("/run/spale")):
            self.run("mount", "-t", "tmpfs", "-o", f"uid={UID},gid={UID},mode=0755", "tmpfs", str(folder))
        config = self.house.config
        config["SERVER_KEY"] = self.place(config["SERVER_KEY"])
        config["CLIENTS_DIR"] = self.place(config["CLIENTS_DIR"])
        config["STATE_DIR"] = HOME / "state"
        config["PIN_DIR"] = self.mountpoint / "spale"
        config["SOCKET"] = "/run/spale/spale.sock"

    def mount(self):
        """Mount a bpffs of his."""
        self.mountpoint = Path("/sys/fs/bpf")
        self.run("mount", "-t", "bpf", "-o", "mode=0700", "bpf", str(self.mountpoint))
        self.run("chown", f"{UID}:{UID}", str(self.mountpoint))

    def place(self, path):
        """Copy it to where he can read it."""
        self.run("cp", "-r", str(path), str(HOME))
        self.run("chown", "-R", f"{UID}:{UID}", str(HOME / path.name))
        return HOME / path.name


@pytest.fixture
def office(house):
    """Return such a room."""
    if shutil.which("setpriv") is None:
        pytest.skip("no setpriv")
    office = OfficeOf(house, {"PROTECTED_PORTS": PORTS, "BRIEF_IDLE_SEC": IDLE_S})
    office.furnish()
    yield office
    house.close()
    office.close()


@pytest.mark.parametrize("enforcer", ["tc", "xdp-native"], indirect=True)
def test_it_guards_and_takes_over(office, house, wait_until):
    """Killed and started again: no gap, grants from the store, sessions from the pins. Ctrl-C opens."""
    daemon = office.guard()
    listener = Path(f"/proc/{daemon.events('ready')[0]['listener_pid']}/status").read_text()
    assert f"Uid:\t{UID}\t{UID}\t{UID}\t{UID}\n" in listener
    assert "CapEff:\t0000000000000000\n" in listener
    assert "CapPrm:\t0000000000000000\n" in listener
    guest, visitor = house.guest(4), house.guest(6)
    with ExitStack() as stack, Pest(house, house.guest(4)) as pest:
        house.let_in("anna", guest)
        desk = Desk(house, house.stage.server, house.stage.server_addresses, stack)
        house.admit("brief", visitor)
        line = desk.call(visitor)
        wait_until(time.monotonic() + IDLE_S + 0.1)
        daemon.stop(signal.SIGKILL)
        daemon = office.guard()
        assert daemon.events("attach")[0]["replaced"] == "yes"
        assert daemon.events("inherited") == [{"sessions": "1"}]
        assert line.carries()
        assert desk.refuses(visitor)
    assert pest.answers == 0
    assert house.all_open([guest])
    late = house.guest(4)
    house.let_in("anna", late)
    assert house.all_open([late])
    assert house.all_shut(house.guests())
    assert daemon.stop(signal.SIGINT) == 0
    assert house.all_open(house.guests())


@pytest.mark.parametrize("enforcer", ["tc"], indirect=True)
def test_its_listener_keeps_the_name_and_nothing_else(office):
    """No capability, nothing to open or start; who has that name, too, sees into neither process."""
    ready = office.guard().events("ready")[0]
    listener = int(ready["listener_pid"])
    status = Path(f"/proc/{listener}/status").read_text()
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert f"{name}:\t0000000000000000\n" in status
    assert "NoNewPrivs:\t1\n" in status
    limits = Path(f"/proc/{listener}/limits").read_text()
    for name in ("core file size", "open files", "processes"):
        assert re.search(rf"Max {name} +0 +0 ", limits)
    for pid in (listener, int(ready["pid"])):
        assert set(pry(UID, pid).values()) <= {"EACCES", "EPERM"}
    if EVERYBODY_MAY_USE_BPF.read_text() == "0\n":
        pytest.skip("here every user may use BPF")
    assert map_error(UID) == "EPERM"


@pytest.mark.parametrize("enforcer", ["tc"], indirect=True)
def test_it_can_become_nobody_else(office):
    """DROP_PRIVS is a mistake then, exit 78."""
    with pytest.raises(ProcessFailedError, match="DROP_PRIVS") as failed:
        office.start(DROP_PRIVS="nobody").wait_for("ready", timeout_s=START_S)
    assert failed.value.exit_code == os.EX_CONFIG
