# SPDX-License-Identifier: MIT
"""A house whose listener is taken over (see evil.py), and orders to whoever has done that."""

from __future__ import annotations

import json
import mmap
from pathlib import Path

from evil import ANSWER, SIZE
from house import LOG_S

from spale_core.demo.poll import until

PLUGIN = Path(__file__).with_name("evil.py")
CONFIG = {"AUTH": "hpke,evil", "ANNA_AUTH": "evil"}


class Captive:
    """The plugin in a folder of its own, for the daemons that are started from now on."""

    def __init__(self, house, folder, monkeypatch):
        """Install it."""
        self.house = house
        self.folder = folder
        info = folder / "evil-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[spale]\nevil = evil\n")
        (folder / PLUGIN.name).symlink_to(PLUGIN)
        (folder / "orders").write_bytes(bytes(SIZE))
        monkeypatch.setenv("PYTHONPATH", str(folder))

    def without_filter(self):
        """Let its daemons find no libseccomp."""
        (self.folder / "pyseccomp.py").write_text("raise RuntimeError('Unable to find libseccomp')\n")

    def order(self, deed, **details):
        """Have it done at the next knock, which is sent; do not wait."""
        guest = self.house.guest(4)
        with (self.folder / "orders").open("r+b") as file, mmap.mmap(file.fileno(), SIZE) as orders:
            orders[:] = json.dumps({"deed": deed, **details}).encode().ljust(SIZE, b"\0")
        self.house.send(guest, self.house.datagram("anna", guest))
        return guest

    @property
    def has_answered(self):
        """Tell whether it is known what came of it."""
        return bool(self._said())

    def answer(self, timeout_s=LOG_S):
        """Return what came of it."""
        assert until(self._said, timeout_s), self.house.daemon.log.read_text()[-1500:]
        return json.loads(self._said())

    def _said(self):
        return (self.folder / "orders").read_bytes()[ANSWER].rstrip(b"\0")
