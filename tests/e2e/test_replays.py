# SPDX-License-Identifier: MIT
"""No datagram counts twice: not after a restart, a kill, a reboot, a turned clock, or a key that was away."""

from __future__ import annotations

import shutil
import signal
import time

import pytest
from house import LOG_S, START_S
from rigged import LISTENER_STEPS, MONITOR_STEPS
from rigging import CONFIG, Rig, used

from spale_core.demo.poll import until

RECORDED = MONITOR_STEPS[MONITOR_STEPS.index("committed") :]
"""The steps after which the monitor's death cannot undo that the datagram was used."""

ENDS = pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])


@pytest.fixture
def rig(tc_house, tmp_path, monkeypatch):
    """Return a rig; the daemons of the test's house have a past of an hour."""
    rig = Rig(tmp_path / "site", monkeypatch)
    rig.remember(tc_house.config["STATE_DIR"])
    tc_house.config.update(CONFIG)
    return rig


@pytest.fixture
def remembering(tc_house):
    """Return a house with such a past."""
    Rig.remember(tc_house.config["STATE_DIR"])
    return tc_house


def refuses(house, payload, family=4):
    """Tell whether `payload` is refused as a replay from an address that it did not come from."""
    guest = house.guest(family)
    with house.refuses("replay", 1, guest):
        house.send(guest, payload)
    return house.all_shut([guest])


@ENDS
def test_a_replay_after_a_restart(remembering, end, family):
    """Is refused; the memory was not lost, so new unbound knocks are good at once."""
    assert "unbound_until" not in remembering.guard()
    payload = used(remembering, remembering.guest(family))
    remembering.daemon.stop(end)
    assert "unbound_until" not in remembering.guard()
    assert refuses(remembering, payload, family)
    used(remembering, remembering.guest(family))


@pytest.mark.parametrize("victim", ["monitor", "listener"])
@pytest.mark.parametrize("step", MONITOR_STEPS)
def test_a_replay_after_a_kill_in_the_monitor(tc_house, rig, victim, step):
    """At every step from taking a claim to granting it: no datagram is honoured twice.

    Before the commit nothing was recorded, and nothing granted: whoever sends it first then is the first.
    """
    _kill_while_knocking(tc_house, rig, victim, step)


@pytest.mark.parametrize("victim", ["monitor", "listener"])
@pytest.mark.parametrize("step", LISTENER_STEPS)
def test_a_replay_after_a_kill_in_the_listener(tc_house, rig, victim, step):
    """Between receiving a datagram and telling the monitor: nobody was let in, and one copy is at most.

    If the monitor lives on, its kernel saw the mac, and lets no copy in at all.
    """
    _kill_while_knocking(tc_house, rig, victim, step)


def _kill_while_knocking(house, rig, victim, step):
    first = house.start()
    first.wait_for("ready", timeout_s=START_S)
    knocker, thief = house.guests()
    payload = house.datagram("anna")
    rig.arm(victim, step)
    house.send(knocker, payload)
    assert until(lambda: not rig.is_armed, LOG_S)
    if victim == "listener":
        first.wait_for("listener_ready", timeout_s=LOG_S)
    else:
        if step in LISTENER_STEPS:
            first.stop(signal.SIGKILL)
        assert until(lambda: first.exit_code == -signal.SIGKILL, LOG_S)
        house.guard()
    recorded = victim == "listener" or step in RECORDED
    before = house.refusals("replay")[1]
    house.send(thief, payload, payload)
    assert until(lambda: house.refusals("replay")[1] >= before + 1 + recorded, LOG_S)
    granted = [
        *first.events("granted"),
        *(house.daemon.events("granted") if house.daemon is not first else ()),
    ]
    assert len(granted) <= 1
    assert str(thief) not in {event["source"] for event in granted} or not recorded
    assert house.all_shut([thief]) or not recorded


def test_a_replay_after_a_reboot(tc_house, rig):
    """A clean stop, then another boot id: nothing is lost."""
    tc_house.guard()
    payload = used(tc_house, tc_house.guest(4))
    tc_house.daemon.stop()
    rig.turn(boot="another boot")
    assert "unbound_until" not in tc_house.guard()
    assert refuses(tc_house, payload)


def test_a_replay_after_the_machine_crashed(tc_house, rig):
    """Another boot id and no clean stop: the memory is lost, and says so; what may be a replay is refused."""
    tc_house.guard()
    guest = tc_house.guest(4)
    payload = used(tc_house, guest)
    tc_house.daemon.stop(signal.SIGKILL)
    rig.turn(boot="another boot")
    assert "unbound_until" in tc_house.guard()
    assert "was not closed" in tc_house.daemon.events("store")[0]["message"]
    with tc_house.refuses("memory_lost", 1, guest):
        tc_house.send(guest, tc_house.datagram("anna"))
    assert refuses(tc_house, payload)


@ENDS
def test_a_replay_after_the_clock_was_stepped_back(tc_house, rig, end):
    """By an hour, so that a datagram of an hour ago is in time again."""
    rig.turn(shift_s=-3000)
    tc_house.guard()
    payload = used(tc_house, tc_house.guest(4), late_s=3000)
    tc_house.daemon.stop(end)
    rig.turn(shift_s=600)
    tc_house.guard()
    used(tc_house, tc_house.guest(4), late_s=-600)
    tc_house.daemon.stop(end)
    rig.turn(shift_s=-3000)
    tc_house.guard()
    assert refuses(tc_house, payload)


def test_a_replay_after_the_clock_was_stepped_back_while_it_ran(tc_house, rig):
    """The same without a restart: tags are renewed, and the datagram is known."""
    rig.turn(shift_s=-3000)
    tc_house.guard()
    payload = used(tc_house, tc_house.guest(4), late_s=3000)
    rig.turn(shift_s=600)
    _knock_until_granted(tc_house, late_s=-600)
    rig.turn(shift_s=-3000)
    _knock_until_granted(tc_house, client="usher", late_s=3000)
    assert refuses(tc_house, payload)


def _knock_until_granted(house, client="anna", late_s=0):
    """Knock anew until the daemon has the tags for this time."""
    guest = house.guest(4)

    def granted():
        house.send(guest, house.datagram(client, late_s=late_s))
        return house.daemon.events("granted", source=str(guest))

    assert until(granted, LOG_S)


def test_a_replay_after_a_larger_window(remembering, wait_until):
    """MAX_SKEW_SEC raised: a datagram that was too old once is in time again, and known."""
    remembering.guard(MAX_SKEW_SEC=2)
    payload = used(remembering, remembering.guest(4))
    wait_until(time.monotonic() + 2.1)
    used(remembering, remembering.guest(4))
    remembering.daemon.stop()
    remembering.guard(MAX_SKEW_SEC=120)
    assert refuses(remembering, payload)


@ENDS
def test_a_replay_after_the_key_was_away(remembering, tmp_path, end):
    """A client that is removed and added again keeps his memory; in between his knocks open nothing."""
    clients = tmp_path / "clients"
    shutil.copytree(remembering.config["CLIENTS_DIR"], clients)
    remembering.config = {k: v for k, v in remembering.config.items() if not k.startswith("ANNA_")}
    remembering.guard(CLIENTS_DIR=clients)
    guest = remembering.guest(4)
    payload = used(remembering, guest)
    remembering.daemon.stop(end)
    (clients / "anna.pem").rename(tmp_path / "anna.pem")
    remembering.guard(CLIENTS_DIR=clients)
    assert remembering.all_shut([guest])
    remembering.daemon.stop(end)
    (tmp_path / "anna.pem").rename(clients / "anna.pem")
    remembering.guard(CLIENTS_DIR=clients)
    assert remembering.all_shut([guest])
    assert refuses(remembering, payload)
