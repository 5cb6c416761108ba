# SPDX-License-Identifier: MIT
"""Keys as their owners have them made: into their places, told apart by fingerprints, and made anew."""

from __future__ import annotations

import json
import shutil

import pytest
from house import LOG_S, Keyring

from spale_core.config.keys import by_key
from spale_core.demo.processes import run_tool


class Registry:
    """Who makes the keys of a house with spale-keygen, where `--install` puts them."""

    def __init__(self, house, folder):
        """Make the server's, and let the house use them."""
        self.house = house
        self.keyring = house.keyring = Keyring(folder)
        self.root = self.keyring.server_key.parent
        self.keygen("server", "--install", "--config-root", self.root)
        # The keys of the usual clients would be nobody's here.
        house.config = {key: value for key, value in house.config.items() if key in by_key()}
        house.config.update(SERVER_KEY=self.keyring.server_key, CLIENTS_DIR=self.root / "clients")

    def keygen(self, *words):
        """Run spale-keygen; return what it printed."""
        return run_tool(self.house.stage.server, "spale_core.cli.keygen", *map(str, words))

    def enrol(self, name, *more):
        """Make a client's bundle, and install its public key."""
        out = self.keyring.bundle(name).parent
        self.keygen(
            *("client", "--name", name, "--bundle", "--install", "--config-root", self.root, "--out", out),
            *more,
        )

    def show(self, path):
        """Return what `spale-keygen show --json` says."""
        return json.loads(self.keygen("show", path, "--json", "--config-root", self.root))

    def spale(self, *words):
        """Ask the daemon; return what it says."""
        socket = ("--socket", str(self.house.config["SOCKET"]), "--json")
        return json.loads(run_tool(self.house.stage.server, "spale_core.cli.main", *words, *socket))


@pytest.fixture
def registry(tc_house, tmp_path):
    """Return one for a house of the test's own."""
    return Registry(tc_house, tmp_path / "registry")


def test_one_key_from_its_making_to_the_log_and_a_new_one(registry):
    """What `show` says of bundle and public key is in log and list; a new key replaces it at the reload."""
    house = registry.house
    registry.enrol("visitor")
    house.guard()
    first = registry.show(registry.keyring.bundle("visitor"))
    assert (first["kind"], first["installed_as"]) == ("bundle", "client visitor")
    assert first["fingerprint"] == registry.show(registry.root / "clients" / "visitor.pem")["fingerprint"]
    assert first["server_fingerprint"] == registry.show(registry.keyring.server_key)["fingerprint"]
    assert house.let_in("visitor", house.guest(4))["fingerprint"] == first["fingerprint"]
    (listed,) = registry.spale("list", "clients")
    assert listed["fingerprint"] == first["fingerprint"]

    shutil.copy(registry.keyring.bundle("visitor"), registry.keyring.bundle("former"))
    registry.enrol("visitor", "--force")
    registry.spale("reload")
    second = registry.show(registry.keyring.bundle("visitor"))
    assert second["fingerprint"] != first["fingerprint"]
    assert registry.show(registry.keyring.bundle("former"))["installed_as"] is None
    assert house.let_in("visitor", house.guest(4))["fingerprint"] == second["fingerprint"]
    house.knock("former", house.guest(4))
    house.daemon.wait_for("refused", timeout_s=LOG_S, reason="unknown_tag")
