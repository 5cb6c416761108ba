# SPDX-License-Identifier: MIT
"""A machine that systemd has booted, with spale installed as its service, in namespaces beside this machine.

Its network is that of a house's server, so guests knock there as everywhere else.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

from house import SPA_PORT

from spale_core.demo.poll import until
from spale_core.demo.processes import Background
from spale_core.demo.stage import DOOR

ROOT = Path(__file__).resolve().parents[2]
BOOT = Path(__file__).with_name("boot.sh")
BOOT_S = 30.0
LATE_S = 30.0
"""Long enough for anything, on the busiest machine."""

TARGET = "spale-test.target"
UNITS = Path("etc/systemd/system")
_HOMES = (Path("/root"), Path("/home"))


def lacks():
    """Return what this machine lacks for a box, None if nothing."""
    missing = [
        tool for tool in ("/lib/systemd/systemd", "systemctl", "nsenter") if shutil.which(tool) is None
    ]
    return f"no {' and no '.join(missing)}; apt-get install systemd" if missing else None


def plant(tree, keyring):
    """Install spale into the folder `tree`, with keys and a configuration, as a service that is enabled."""
    install = [
        sys.executable,
        ROOT / "tools/install.py",
        "install",
        "--destdir",
        tree,
        "--prefix",
        "/usr/local",
    ]
    folders = ["--sysconfdir", "/etc", "--unitdir", "/usr/local/lib/systemd/system"]
    subprocess.run([*install, *folders], check=True, timeout=60)
    etc = tree / "etc/spale"
    shutil.copy(keyring.server_key, etc)
    shutil.copy(keyring.folder / "clients/anna.pem", etc / "clients")
    config = {"IFACE": DOOR, "LISTEN_PORT": SPA_PORT, "PROTECTED_PORTS": "22,6000", "SPA_RL_RATE": 0}
    (etc / "spale.conf").write_text("".join(f"{key}={value}\n" for key, value in config.items()))
    units = tree / UNITS
    units.mkdir(parents=True)
    wants = "spale.service systemd-sysusers.service systemd-journald.service network.target"
    (units / TARGET).write_text(f"[Unit]\nWants={wants}\n")
    python = (tree / "usr/local/lib/spale/bin/python").resolve()
    if any(python.is_relative_to(home) for home in _HOMES):
        drop_in(tree, "home", "[Service]\nProtectHome=no\n")


def drop_in(tree, name, text, unit="spale.service"):
    """Write a drop-in for `unit` below the root `tree`."""
    folder = tree / UNITS / f"{unit}.d"
    folder.mkdir(exist_ok=True, parents=True)
    (folder / f"{name}.conf").write_text(text)


class NoBootError(Exception):
    """Told that this machine refuses a mount or a namespace, as a container may."""


class Box:
    """One such machine."""

    def __init__(self, house, tree):
        """Boot it."""
        self.house = house
        self._work = house.folder / "box"
        self._work.mkdir()
        self._name = f"spale-test-{os.getpid()}"
        command = [shutil.which("unshare"), "--mount", BOOT, self._name, tree, self._work, TARGET]
        self._process = Background(house.stage.server, list(map(str, command)), house.folder / "box.log")
        self._pid = 0
        try:
            self._await_init()
            assert until(lambda: self.systemctl("is-active", TARGET) == "active", BOOT_S), self.journal()
        except BaseException:
            self.close()
            raise

    def _await_init(self):
        """Wait for its systemd; raise NoBootError if there is none."""
        until(lambda: self._find_init() or self._process.exit_code is not None, BOOT_S)
        if not self._pid:
            raise NoBootError(self._process.log.read_text())

    def _find_init(self):
        """Find the process id of its systemd; return whether it has come to that."""
        pid = self._process.pid
        with suppress(FileNotFoundError, ProcessLookupError):
            while children := Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                pid = int(children[0])
                if Path(f"/proc/{pid}/comm").read_text() == "systemd\n":
                    self._pid = pid
        return self._pid != 0

    @property
    def root(self):
        """Return where its files are for us."""
        return Path(f"/proc/{self._pid}/root")

    @property
    def documents(self):
        """Return where its examples are for us."""
        return self.root / "usr/local/share/doc/spale"

    def run(self, *words):
        """Run a command in it; return the completed process."""
        enter = [shutil.which("nsenter"), "--target", str(self._pid), "--all"]
        return subprocess.run([*enter, "--", *words], capture_output=True, text=True, timeout=60, check=False)

    def systemctl(self, *words):
        """Run systemctl; return what it printed."""
        return self.run("systemctl", *words).stdout.strip()

    def show(self, what, unit="spale.service"):
        """Return a property of a unit."""
        return self.systemctl("show", "--property", what, "--value", unit)

    @property
    def monitor(self):
        """Return the monitor's process id in the box, 0 while there is none."""
        return int(self.show("MainPID"))

    @property
    def listener(self):
        """Return the listener's process id in the box, 0 while there is none."""
        monitor = self.monitor
        children = self.run("cat", f"/proc/{monitor}/task/{monitor}/children").stdout.split()
        return int(children[0]) if children else 0

    def kill(self, pid, name):
        """Send the signal NAME to a process in the box."""
        assert self.run("kill", "-s", name, str(pid)).returncode == 0

    def journal(self, unit="spale.service"):
        """Return the lines that `unit` has written, and systemd about it."""
        return self.run("journalctl", "--unit", unit, "--output", "cat", "--no-pager").stdout.splitlines()

    def said(self, *words):
        """Tell whether a line of the journal has all these words."""
        return any(all(word in line for word in words) for line in self.journal())

    @contextmanager
    def configured(self, **changes):
        """Change the configuration inside the block; the daemon is not told."""
        path = self.root / "etc/spale/spale.conf"
        before = path.read_text()
        kept = [line for line in before.splitlines() if line.partition("=")[0] not in changes]
        path.write_text("\n".join([*kept, *(f"{key}={value}" for key, value in changes.items()), ""]))
        try:
            yield
        finally:
            path.write_text(before)

    @contextmanager
    def dropped_in(self, text):
        """Have a drop-in for the service inside the block, which is to restart it; restart it behind it."""
        drop_in(self.root, "test", text)
        self.systemctl("daemon-reload")
        try:
            yield
        finally:
            (self.root / UNITS / "spale.service.d/test.conf").unlink()
            self.systemctl("daemon-reload")
            assert self.restarts()

    def restarts(self):
        """Restart the service; tell whether it is ready then."""
        return self.run("systemctl", "restart", "spale").returncode == 0

    def knock(self):
        """Return a guest who has knocked, and for whom it has been opened, as the log says."""
        guest = self.house.guest(4)
        self.house.knock("anna", guest)
        assert until(lambda: self.said("granted ", f"source={guest} "), LATE_S), self.journal()[-20:]
        return guest

    def check(self):
        """Let a guest in who knocks, and nobody else."""
        stranger = self.house.guest(4)
        assert self.house.all_open([self.knock()])
        assert self.house.all_shut([stranger])

    def close(self):
        """Turn it off; leave nothing behind."""
        if self._process.exit_code is None:
            self._process.stop(9)
        script = (
            'mount -t cgroup2 none "$1" && [ -e "$1/$2" ] || exit 0;'
            ' find "$1/$2" -depth -type d -exec rmdir {} + 2>/dev/null'
        )
        sweep = ["unshare", "--mount", "sh", "-c", script, "sh", self._work, self._name]
        gone = "the processes of its cgroup are gone a little after process 1"
        assert until(lambda: subprocess.run(sweep, check=False).returncode == 0, BOOT_S), gone
