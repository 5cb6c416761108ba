# SPDX-License-Identifier: MIT
"""A house whose configuration changes while its daemon runs; its clients' keys are its own to change."""

from __future__ import annotations

import os
import shutil
import signal
from typing import Any

from attrs import define, field

from spale_bpf import interface, predecessor
from spale_core.demo.poll import until
from spale_core.demo.stage import DOOR

RELOAD_S = 15.0


@define
class Change:
    """Writes what holds from now on, and lets the daemon read it."""

    house: Any
    clients: Any = field(init=False)
    _changes: dict = field(factory=dict)

    def __attrs_post_init__(self):
        """Give the house a folder of clients of its own, before its daemon starts."""
        self.clients = self.house.folder / "own-clients"
        shutil.copytree(self.house.config["CLIENTS_DIR"], self.clients)
        self.house.config["CLIENTS_DIR"] = self.clients

    @property
    def path(self):
        """Return the configuration's file."""
        return max(self.house.folder.glob("spale-*.conf"))

    def add(self, client):
        """Let there be a client; its key was made already."""
        shutil.copy(self.house.keyring.folder / "private" / f"{client}.pem", self.clients)

    def remove(self, client):
        """Let there be no such client."""
        (self.clients / f"{client}.pem").unlink()

    def write(self, **changes):
        """Write the house's configuration with `changes`, and nothing of earlier ones."""
        lines = [f"{key}={value}\n" for key, value in {**self.house.config, **changes}.items()]
        self.path.write_text("".join(lines))

    def ask(self):
        """Send the signal."""
        os.kill(self.house.daemon.pid, signal.SIGHUP)

    def reload(self, **changes):
        """Do it all, and return the `reload` event."""
        return self._outcome("reload", changes)[0]

    def fails(self, **changes):
        """Do it all, and return what is said for why it failed."""
        return [event["message"] for event in self._outcome("reload_failed", changes)]

    def grants(self):
        """Return the grants in the kernel."""
        with self.house.stage.server.inside():
            found = predecessor.find([interface.find(DOOR)])
        try:
            return found.grants()
        finally:
            found.close()

    def _outcome(self, name, changes):
        daemon = self.house.daemon
        other = {"reload": "reload_failed", "reload_failed": "reload"}[name]
        before, others = len(daemon.events(name)), len(daemon.events(other))
        self.write(**changes)
        self.ask()
        assert until(lambda: len(daemon.events(name)) > before, RELOAD_S), daemon.log.read_text()
        assert len(daemon.events(other)) == others
        return daemon.events(name)[before:]
