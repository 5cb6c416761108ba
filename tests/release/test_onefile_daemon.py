# SPDX-License-Identifier: MIT
"""A real daemon out of the one file, where there is nothing else: its two processes, its user, its end."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest
from cell import SPALE_UID, Cell, CellDaemon

from spale_core.demo.poll import until
from spale_core.demo.probe import Attempt, Outcome, try_doors
from spale_core.demo.processes import Background, python
from spale_core.demo.stage import DOOR, Stage
from spale_core.model import Protocol, Service

pytestmark = pytest.mark.kernel

SPALE = "/usr/sbin/spale"
SSH = Service(Protocol.TCP, 22)
SPA_PORT = 55555
START_S = 60.0
LATE_S = 15.0
SHUT_S = 0.4
"""How long we listen before we say that nobody answers."""


class Shop:
    """A stage with something behind the door, guarded out of a cell."""

    def __init__(self, folder, stage):
        """Make keys and a configuration."""
        self.cell, self.stage, self._folder = Cell(folder), stage, folder
        self._running = []
        self.cell.does(SPALE, "keygen", "server", "--install")
        options = ("--name", "anna", "--bundle", "--install", "--out", "/keys")
        self.cell.does(SPALE, "keygen", "client", *options)
        settings = (f"IFACE={DOOR}", f"LISTEN_PORT={SPA_PORT}", f"PROTECTED_PORTS={SSH}", "DROP_PRIVS=spale")
        config = self.cell.root / "etc/spale/spale.conf"
        config.write_text("\n".join([*settings, "SPA_RL_RATE=0", ""]))
        config.chmod(0o600)

    def open(self):
        """Start what is behind the door."""
        command = python("spale_core.demo.greeter", str(SSH))
        self._running.append(Background(self.stage.server, command, self._folder / "greeter.log"))
        assert until(lambda: self.meets(self.guest()) is Outcome.OPEN, LATE_S)

    def guard(self):
        """Start a daemon; return it and its `ready` event."""
        log = self._folder / f"daemon-{len(self._running)}.log"
        daemon = CellDaemon(self.cell, self.stage.server, log)
        self._running.append(daemon)
        return daemon, daemon.wait_for("ready", timeout_s=START_S)

    def guest(self):
        """Return an address from which nobody has come."""
        return self.stage.new_source(4)

    def meets(self, source, timeout_s=SHUT_S):
        """Return what `source` meets at the door."""
        attempt = Attempt(source, self.stage.server_addresses[4], SSH)
        return try_doors(self.stage.client, [attempt], timeout_s)[0].outcome

    def knock(self, daemon):
        """Let a new guest knock, out of the cell; return him when he has been let in."""
        guest = self.guest()
        target = ("--host", self.stage.server_addresses[4], "--port", SPA_PORT, "--key", "/keys/anna.key")
        with self.stage.client.inside():
            self.cell.does("/usr/bin/spale-send", *target, "--source", guest, "--bind-source", guest)
        daemon.wait_for("granted", timeout_s=LATE_S, source=str(guest))
        assert self.meets(guest, LATE_S) is Outcome.OPEN
        return guest

    def close(self):
        """End all."""
        for process in self._running:
            if process.exit_code is None:
                process.stop(signal.SIGKILL)


@pytest.fixture
def shop(tmp_path):
    """Return a shop that is open, unguarded as yet."""
    with Stage() as stage:
        shop = Shop(tmp_path, stage)
        try:
            shop.open()
            yield shop
        finally:
            shop.close()


def status(pid, name):
    """Return what /proc says of a process by `name`."""
    return re.search(rf"^{name}:\s*(.*)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)[1]


def test_it_guards_without_privileges_where_it_counts(shop):
    """The listener is another user, filtered, and needs no file of the folder that only root may read."""
    daemon, ready = shop.guard()
    assert shop.meets(shop.guest()) is Outcome.SHUT
    shop.knock(daemon)
    listener, monitor = int(ready["listener_pid"]), int(ready["pid"])
    assert status(listener, "Uid").split() == [str(SPALE_UID)] * 4
    assert int(status(listener, "CapEff"), 16) == 0
    assert status(listener, "Seccomp") == "2"
    assert int(status(monitor, "PPid")) == daemon.pid
    assert [name[:4] for name in shop.cell.left_over] == ["_MEI"]


def test_signals_reach_the_daemon_through_the_bootloader(shop):
    """HUP reloads, a killed listener is replaced, TERM ends it with 0: ports stay shut, nothing is left."""
    daemon, ready = shop.guard()
    os.kill(daemon.pid, signal.SIGHUP)
    listener = int(daemon.wait_for("reload", timeout_s=LATE_S)["listener_pid"])
    assert listener != int(ready["listener_pid"])
    os.kill(listener, signal.SIGKILL)
    daemon.wait_for("listener_ready", timeout_s=LATE_S)
    guest = shop.knock(daemon)
    assert daemon.stop(signal.SIGTERM) == 0
    assert shop.cell.left_over == []
    assert shop.meets(shop.guest()) is Outcome.SHUT
    assert shop.meets(guest, LATE_S) is Outcome.OPEN
    with shop.stage.server.inside():
        shop.cell.does(SPALE, "detach")
    assert shop.meets(shop.guest(), LATE_S) is Outcome.OPEN


def test_ctrl_c_takes_it_away(shop):
    """INT leaves the machine as it was, and the folder for temporary files empty."""
    daemon, _ = shop.guard()
    assert daemon.stop(signal.SIGINT) == 0
    assert shop.meets(shop.guest(), LATE_S) is Outcome.OPEN
    assert shop.cell.left_over == []


def test_killed_it_leaves_the_door_shut_and_its_folder(shop):
    """KILL of the process that was started ends monitor and listener too; the next start takes over."""
    daemon, ready = shop.guard()
    assert daemon.stop(signal.SIGKILL) == -signal.SIGKILL
    pids = [int(ready[name]) for name in ("pid", "listener_pid")]
    assert until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), LATE_S)
    assert shop.meets(shop.guest()) is Outcome.SHUT
    assert [name[:4] for name in shop.cell.left_over] == ["_MEI"]
    again, _ = shop.guard()
    assert again.events("attach")[0]["replaced"] == "yes"
    shop.knock(again)
    assert again.stop(signal.SIGTERM) == 0
