# SPDX-License-Identifier: MIT
"""The service when something goes wrong: what is stuck, killed, mistaken, late, or not allowed.

Takes minutes, so only with SPALE_SYSTEMD=1 (`nox -s systemd`).
"""

from __future__ import annotations

import os

import boxes
import pytest
from boxes import LATE_S

from spale_core.demo.poll import until

if os.environ.get("SPALE_SYSTEMD") != "1":
    pytest.skip("takes minutes: nox -s systemd", allow_module_level=True)


def test_a_listener_that_is_stuck_is_replaced(box):
    """By the monitor, which needs no restart for it; nothing opens meanwhile."""
    monitor, listener = box.monitor, box.listener
    box.kill(listener, "STOP")
    assert until(lambda: box.listener not in (0, listener), LATE_S)
    assert box.house.all_shut([box.house.guest(4)])
    assert until(lambda: box.said("listener_ready ", f"pid={box.listener}"), LATE_S), box.journal()[-20:]
    box.check()
    assert box.monitor == monitor


@pytest.mark.parametrize("stuck", ["monitor", "listener"])
def test_the_watchdog_restarts_what_is_stuck(box, stuck):
    """A monitor whose loop stands; or, with a shorter watchdog, a listener that is not alive."""
    with box.dropped_in("[Service]\nWatchdogSec=4\n"):
        assert box.restarts()
        monitor = box.monitor
        box.kill(getattr(box, stuck), "STOP")
        assert box.house.all_shut([box.house.guest(4)])
        assert until(lambda: box.monitor not in (0, monitor), LATE_S)
        assert until(lambda: box.show("ActiveState") == "active", LATE_S)
        assert box.said("Watchdog timeout")
        box.check()


def test_a_daemon_that_is_killed_comes_back_always(box):
    """However often, as nothing limits it; the ports are shut between."""
    for _ in range(8):
        monitor = box.monitor
        box.kill(monitor, "KILL")
        assert box.house.all_shut([box.house.guest(4)])
        assert until(lambda before=monitor: box.monitor not in (0, before), LATE_S)
        assert until(lambda: box.show("ActiveState") == "active", LATE_S)
    box.check()


def test_a_mistake_is_visible_and_can_be_mended(box):
    """The start fails, and the log says why; when that is mended, the next try needs nobody."""
    with box.configured(IDEL_SEC=5):
        assert not box.restarts()
        assert box.show("ActiveState") != "active"
        assert box.show("ExecMainStatus") == "78"
        assert box.said("IDEL_SEC")
        assert box.house.all_shut([box.house.guest(4)])
    assert until(lambda: box.show("ActiveState") == "active", LATE_S)
    box.check()


def test_no_sshd_without_spale(box):
    """With the drop-in: sshd starts after spale, and not at all if that fails."""
    sshd = "spale-test-sshd.service"
    (box.root / boxes.UNITS / sshd).write_text("[Service]\nExecStart=/bin/sleep infinity\n")
    boxes.drop_in(box.root, "spale", (box.documents / "sshd-requires-spale.conf").read_text(), sshd)
    box.systemctl("daemon-reload")
    box.systemctl("stop", "spale")
    with box.configured(IDEL_SEC=5):
        assert box.run("systemctl", "start", sshd).returncode != 0
        assert box.show("ActiveState", sshd) == "inactive"
    assert box.run("systemctl", "start", sshd).returncode == 0
    began, after = (int(box.show("ActiveEnterTimestampMonotonic", unit)) for unit in ("spale.service", sshd))
    assert 0 < began <= after
    box.systemctl("stop", sshd)


@pytest.mark.parametrize(
    ("capability", "changes"),
    [
        ("SETUID", {}),
        ("SETGID", {}),
        ("SETPCAP", {}),
        ("KILL", {}),
        ("NET_ADMIN", {"DATAPLANE": "xdp"}),
        ("NET_BIND_SERVICE", {"LISTEN_PORT": 443}),
        ("CHOWN", {"SOCKET_GROUP": "adm"}),
    ],
)
def test_what_each_capability_is_for(box, capability, changes):
    """With it all is well in the sandbox; without it the start fails, or a stuck listener stays."""
    with box.configured(**changes):
        assert box.restarts()
        assert box.house.all_shut([box.house.guest(4)])
        with box.dropped_in(f"[Service]\nRestart=no\nCapabilityBoundingSet=~CAP_{capability}\n"):
            assert not (box.restarts() and replaces_its_listener(box))
    assert box.restarts()


def replaces_its_listener(box):
    """Tell whether a listener that is stuck is replaced."""
    listener = box.listener
    box.kill(listener, "STOP")
    until(lambda: box.listener != listener, LATE_S)
    return box.listener != 0


def test_the_narrow_drop_in_suffices_with_pins(box):
    """Without CAP_SYS_ADMIN it starts, and starts again, for as long as its pins are there."""
    with box.dropped_in((box.documents / "without-cap-sys-admin.conf").read_text()):
        for _ in range(2):
            assert box.restarts()
            box.check()


def test_an_interface_that_comes_late(box):
    """The service starts without it, so that the machine boots, and says what it waits for."""
    with box.configured(IFACE="door0,late0"):
        assert box.restarts()
        assert "waits for late0" in box.show("StatusText")
        box.check()
        box.run("ip", "link", "add", "late0", "type", "veth", "peer", "name", "late1")
        assert until(lambda: "door0, late0" in box.show("StatusText"), LATE_S)
        box.run("ip", "link", "del", "late0")
    assert box.restarts()
