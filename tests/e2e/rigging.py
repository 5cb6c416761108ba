# SPDX-License-Identifier: MIT
"""Installs the plugin of rigged.py for the daemons of one test, and turns what it reads."""

from __future__ import annotations

import json
import mmap
from contextlib import closing
from pathlib import Path

from house import LOG_S
from rigged import FAULT, SIZE

from spale_core.interfaces import StoreSettings
from spale_core.stores.hosttime import HostTime, Reading
from spale_core.stores.sqlite import SqliteStore

PLUGIN = Path(__file__).with_name("rigged.py")
CONFIG = {"STORE": "rigged", "DATAPLANE": "rigged", "AUTH": "hpke,rigged", "ANNA_AUTH": "rigged"}


class Rig:
    """The plugin in a folder of its own, and how it is set."""

    def __init__(self, folder, monkeypatch):
        """Let every daemon that starts from now on find it."""
        self.folder = folder
        self._set = {"boot": HostTime().boot_id(), "shift_s": 0, "slept_s": 0}
        info = folder / "rigged-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rigged\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[spale]\nrigged = rigged\n")
        (folder / PLUGIN.name).symlink_to(PLUGIN)
        (folder / "rig").write_bytes(bytes(SIZE))
        self.turn()
        monkeypatch.setenv("PYTHONPATH", str(folder))

    def turn(self, **changes):
        """Change the boot's name, by how many seconds the wall clock is off, or for how many it slept."""
        self._set.update(changes)
        self._write(json.dumps(self._set), slice(FAULT.start))

    def arm(self, victim, step):
        """Have `victim` killed at `step`, once."""
        self._write(json.dumps({"victim": victim, "step": step}), FAULT)

    @property
    def is_armed(self):
        """Tell whether that has not happened yet."""
        return any((self.folder / "rig").read_bytes()[FAULT])

    def _write(self, text, place):
        with (self.folder / "rig").open("r+b") as file, mmap.mmap(file.fileno(), SIZE) as memory:
            length = len(memory[place])
            memory[place] = text.encode().ljust(length, b"\0")

    @staticmethod
    def remember(state_dir):
        """Leave a state file as a daemon does that was first started an hour ago: its memory is not lost."""
        with closing(SqliteStore(StoreSettings(state_dir), _AnHourAgo())):
            pass


class _AnHourAgo(HostTime):
    def read(self):
        now = super().read()
        return Reading(now.monotonic_ns, now.boottime_ns, now.unix_ms - 3_600_000)


def used(house, guest, **how):
    """Knock unbound from `guest`, and return the datagram once it was granted."""
    payload = house.datagram("anna", **how)
    house.send(guest, payload)
    house.daemon.wait_for("granted", timeout_s=LOG_S, source=str(guest))
    return payload
