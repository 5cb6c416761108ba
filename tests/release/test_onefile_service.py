# SPDX-License-Identifier: MIT
"""The one file as a service of a real systemd: our unit, and the drop-in of docs/installing.md."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import boxes
import pytest
from cell import ROOT, one_file
from house import House, Keyring

from spale_core.demo.poll import until
from spale_core.demo.processes import run_tool
from spale_core.demo.stage import Stage

pytestmark = pytest.mark.kernel

PAGE = ROOT / "docs/installing.md"
LATE_S = boxes.LATE_S


def drop_in():
    """Return the drop-in, as the documentation has it."""
    section = PAGE.read_text().partition("\n## One file\n")[2].partition("\n## ")[0]
    found = re.search(r"^    \[Service\]\n(?:    .*\n)+", section, re.MULTILINE)
    return re.sub(r"^    ", "", found[0], flags=re.MULTILINE)


def keyring(folder, stage):
    """Return the keys of a server and of a client in `folder`, where a house looks for them."""
    run_tool(stage.server, "spale_core.cli.keygen", "server", "--out", str(folder / "server"))
    public = ("--server-pub", str(folder / "server/server.key.pub"))
    options = ("--name", "anna", "--bundle", *public, "--out", str(folder / "private"))
    run_tool(stage.client, "spale_core.cli.keygen", "client", *options)
    (folder / "clients").mkdir()
    shutil.copy(folder / "private/anna.pem", folder / "clients")
    return Keyring(folder)


@pytest.fixture
def box(tmp_path):
    """Return a machine that systemd has booted, with the one file as its service."""
    if reason := boxes.lacks():
        pytest.skip(reason)
    tree = tmp_path / "tree"
    tree.mkdir()
    with Stage() as stage:
        house = House(stage, tmp_path, keyring(tmp_path / "keys", stage), {})
        boxes.plant(tree, house.keyring)
        shutil.rmtree(tree / "usr/local/lib/spale")
        (tree / "usr/local/sbin/spale").unlink()
        shutil.copy(one_file(), tree / "usr/local/sbin/spale")
        boxes.drop_in(tree, "one-file", drop_in())
        try:
            house.open_shop()
            made = boxes.Box(house, tree)
        except boxes.NoBootError as error:
            house.close()
            if os.environ.get("SPALE_REQUIRE_KERNEL") == "1":
                raise
            pytest.skip(str(error))
        except BaseException:
            house.close()
            raise
        try:
            yield made
        finally:
            made.close()
            house.close()


def test_it_is_a_service(box):
    """Readiness, watchdog, reload and stop go through the bootloader, which is systemd's main process."""
    assert box.show("ActiveState") == "active", box.journal()
    assert box.show("StatusText") == "guards 4 services on door0 for 1 client"
    began = int(box.show("ActiveEnterTimestampMonotonic"))
    assert until(lambda: int(box.show("WatchdogTimestampMonotonic")) > began, LATE_S)
    box.check()
    assert not [line for line in box.journal() if line.startswith(("warning", "failed"))]
    assert box.run("systemctl", "reload", "spale").returncode == 0
    assert box.said("reload ")
    folders = list(Path(box.root / "tmp").glob("systemd-private-*-spale.service-*/tmp/_MEI*"))
    assert len(folders) == 1
    assert box.run("systemctl", "stop", "spale").returncode == 0
    assert box.show("Result") == "success"
    assert not folders[0].exists()
    assert box.house.all_shut([box.house.guest(4)])
    assert box.run("systemctl", "start", "spale").returncode == 0
    box.check()
