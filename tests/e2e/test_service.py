# SPDX-License-Identifier: MIT
"""spale as a service of a real systemd, by the unit that `make install` puts there."""

from __future__ import annotations

from boxes import LATE_S
from compiled_rig import demand_bcc

from spale_core.demo.poll import until


def test_it_guards_before_there_is_a_network(box):
    """Ready before anything configures an interface; and it works, with pins, in its sandbox."""
    assert box.show("ActiveState") == "active"
    began = box.show("ActiveEnterTimestampMonotonic")
    network = box.show("ActiveEnterTimestampMonotonic", "network-pre.target")
    assert 0 < int(began) <= int(network)
    assert box.show("StatusText") == "guards 4 services on door0 for 1 client"
    box.check()
    assert not [line for line in box.journal() if line.startswith(("warning", "failed"))]
    assert list((box.root / "sys/fs/bpf/spale").glob("*/*/spale_grants"))


def test_a_reload_succeeds_or_says_why(box):
    """`systemctl reload` returns when it is in force; after a mistake it fails, and nothing has changed."""
    before = box.listener
    assert box.run("systemctl", "reload", "spale").returncode == 0
    assert box.listener != before
    with box.configured(IDEL_SEC=5):
        assert box.run("systemctl", "reload", "spale").returncode != 0
    assert box.said("IDEL_SEC")
    assert box.show("ActiveState") == "active"
    assert until(lambda: "the last reload changed nothing" in box.show("StatusText"), LATE_S)
    box.check()


def test_stopping_is_not_opening(box):
    """After `systemctl stop` who was let in still is, and nobody else; the next start takes over."""
    guest = box.knock()
    assert box.house.all_open([guest])
    assert box.run("systemctl", "stop", "spale").returncode == 0
    assert box.show("ActiveState") == "inactive"
    assert box.house.all_shut([box.house.guest(4)])
    assert box.house.all_open([guest])
    assert box.run("systemctl", "start", "spale").returncode == 0
    box.check()


def test_it_compiles_in_its_sandbox(box):
    """LOADER=bcc: no memory that can be written and run, few system calls, files that are read only."""
    demand_bcc()
    with box.configured(LOADER="bcc"):
        assert box.restarts(), box.journal()[-20:]
        box.check()
        shown = box.run("/usr/local/sbin/spale", "status").stdout
        assert "compiled on this host by bcc" in shown
    assert box.restarts()
