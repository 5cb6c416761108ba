# SPDX-License-Identifier: MIT
"""Daemons in a mount namespace of their own, where a bpffs comes and goes; the host's is not touched."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

from house import LOG_S, START_S

from spale_core.demo.poll import until
from spale_core.demo.processes import Background, Daemon, python


class RoomDaemon(Daemon):
    """A daemon in a room."""

    def __init__(self, room, namespace, log, *options):
        """Start it."""
        run = python("spale_core.cli.main", "run", *options)
        Background.__init__(self, namespace, [*room.enter, *room.become, *run], log)


class Room:
    """A mount namespace with a folder where a bpffs can be, and a house whose daemons live there."""

    become = ()
    """The beginning of a command that makes somebody else of who runs it."""

    def __init__(self, house, settings=()):
        """Hold the namespace by a process that does nothing; its daemons get `settings`."""
        self.house = house
        self._settings = dict(settings)
        self.mountpoint = house.folder / "bpffs"
        self.mountpoint.mkdir()
        command = [
            shutil.which("unshare"),
            "--mount",
            "--propagation",
            "private",
            shutil.which("sleep"),
            "300",
        ]
        self._holder = subprocess.Popen(command)
        self.enter = [shutil.which("nsenter"), f"--mount=/proc/{self._holder.pid}/ns/mnt"]
        here = Path("/proc/self/ns/mnt").readlink()
        assert until(lambda: Path(f"/proc/{self._holder.pid}/ns/mnt").readlink() != here, LOG_S)

    def close(self):
        """Let go of it, and of what is mounted."""
        self._holder.kill()
        self._holder.wait()

    def run(self, *words):
        """Run a command in it."""
        subprocess.run([*self.enter, shutil.which(words[0]), *words[1:]], check=True, timeout=10)

    def mount(self):
        """Mount a bpffs."""
        self.run("mount", "-t", "bpf", "-o", "mode=0700", "bpf", str(self.mountpoint))

    def mounts(self):
        """Return what is mounted there, a line each."""
        return Path(f"/proc/{self._holder.pid}/mounts").read_text().splitlines()

    def guard(self, *options, **changes):
        """Start a daemon with pins in the folder, wait until it guards, and return it."""
        self.start(*options, **changes).wait_for("ready", timeout_s=START_S)
        return self.house.daemon

    def start(self, *options, **changes):
        """Start it, and do not wait."""
        house = self.house
        settings = {**house.config, "PIN_DIR": self.mountpoint / "spale", **self._settings, **changes}
        path = house.folder / f"room-{time.monotonic_ns()}.conf"
        path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        path.chmod(0o600)
        config = ("-c", str(self.place(path)))
        house.daemon = RoomDaemon(self, house.stage.server, path.with_suffix(".log"), *config, *options)
        house._exit.callback(house._end, house.daemon)
        return house.daemon

    def place(self, path):
        """Return where its daemons find what is at `path`."""
        return path

    def pins(self, name="spale"):
        """Return the names of what is pinned, by folder."""
        root = Path(f"/proc/{self._holder.pid}/root{self.mountpoint}/{name}")
        folders = root.glob("*/*")
        return {f"{each.parent.name}/{each.name}": {pin.name for pin in each.iterdir()} for each in folders}
