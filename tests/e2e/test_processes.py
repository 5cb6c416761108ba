# SPDX-License-Identifier: MIT
"""Stopping is not opening: what the end of a process does, and does not do, to the door."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from house import LOG_S, OPEN_S, SPA_PORT
from strangers import Pest

from spale_core.demo.poll import until
from spale_core.demo.probe import Outcome
from spale_core.demo.processes import run_tool
from spale_core.model import Protocol, Service


@pytest.fixture
def watched(house):
    """Return a guarded house, one guest of each family who is let in, and the `ready` event."""
    ready = house.guard()
    guests = house.guests()
    for guest in guests:
        house.let_in("anna", guest)
    assert house.all_open(guests)
    return house, guests, ready


def _attached(house):
    """Tell whether a stranger meets silence at every service."""
    return house.all_shut(house.guests())


def test_the_monitor_killed_leaves_the_door_shut(watched):
    """SIGKILL of the monitor opens nothing; who was let in stays in, and the listener ends."""
    house, guests, ready = watched
    assert house.daemon.stop(signal.SIGKILL) == -signal.SIGKILL
    assert _attached(house)
    assert house.all_open(guests)
    assert until(lambda: not Path(f"/proc/{ready['listener_pid']}").exists(), LOG_S)
    assert _attached(house)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_the_next_start_takes_over_without_a_gap(watched, end):
    """From the end of one daemon to the next one's work no packet of a stranger is let in."""
    house, _, _ = watched
    with Pest(house, house.guest(4)) as pest4, Pest(house, house.guests()[-1]) as pest6:
        house.daemon.stop(end)
        house.guard()
    assert (pest4.answers, pest6.answers) == (0, 0)
    assert house.daemon.events("attach")[0]["replaced"] == "yes"
    guest = house.guest(4)
    house.let_in("anna", guest)
    assert house.all_open([guest])
    assert _attached(house)


def test_the_listener_killed_leaves_the_door_shut_and_is_replaced(watched):
    """SIGKILL of the listener opens nothing; the monitor says so, starts another, and knocks work again."""
    house, guests, ready = watched
    with Pest(house, house.guest(4)) as pest:
        os.kill(int(ready["listener_pid"]), signal.SIGKILL)
        house.daemon.wait_for("listener_died", timeout_s=LOG_S)
        guest = house.guest(4)
        house.knock("anna", guest)
        house.daemon.wait_for("granted", timeout_s=LOG_S, source=str(guest))
    assert pest.answers == 0
    assert house.all_open([*guests, guest])
    assert _attached(house)
    assert house.daemon.exit_code is None


def _has_listener(daemon):
    pid = daemon.pid
    return bool(Path(f"/proc/{pid}/task/{pid}/children").read_text())


MOMENTS = {
    "at once": lambda _: True,
    "with a listener": _has_listener,
    "attached": lambda daemon: daemon.events("attach"),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_while_starting(house, moment):
    """SIGKILL in the middle of a start leaves no half: the next start guards as if nothing had been."""
    house.guard()
    with Pest(house, house.guest(4)) as pest:
        house.daemon.stop(signal.SIGTERM)
        starting = house.start()
        assert until(lambda: MOMENTS[moment](starting), LOG_S)
        starting.stop(signal.SIGKILL)
        house.guard()
    assert pest.answers == 0
    guest = house.guest(4)
    house.let_in("anna", guest)
    assert house.all_open([guest])


def test_sigterm_keeps_and_detach_opens(watched):
    """SIGTERM leaves ports shut and grants alive and says how to open; `spale detach` opens."""
    house, guests, _ = watched
    assert house.daemon.stop(signal.SIGTERM) == 0
    assert "spale detach" in house.daemon.log.read_text().splitlines()[-1]
    assert _attached(house)
    assert house.all_open(guests)
    run_tool(house.stage.server, "spale_core.cli.main", "detach")
    assert house.all_open(house.guests())


def test_ctrl_c_opens(watched):
    """SIGINT leaves the machine as it was before the start."""
    house, _, _ = watched
    assert house.daemon.stop(signal.SIGINT) == 0
    assert house.daemon.events("detach")
    assert house.all_open(house.guests())


def test_on_exit_detach_opens_at_sigterm(house):
    """With ON_EXIT=detach SIGTERM opens as Ctrl-C does."""
    house.guard(ON_EXIT="detach")
    assert _attached(house)
    house.daemon.stop(signal.SIGTERM)
    assert house.all_open(house.guests())


def test_detach_with_a_daemon_running(watched):
    """`spale detach` opens while the daemon runs, too."""
    house, _, _ = watched
    run_tool(house.stage.server, "spale_core.cli.main", "detach")
    assert house.all_open(house.guests())


def test_the_listener_has_no_privileges(tc_house):
    """The process that reads the network is not root, has no capability, no groups, and can gain none."""
    ready = tc_house.guard()
    status = dict(
        line.split(":\t", 1)
        for line in Path(f"/proc/{ready['listener_pid']}/status").read_text().splitlines()
        if ":\t" in line
    )
    assert "0" not in status["Uid"].split()
    assert "0" not in status["Gid"].split()
    assert not status["Groups"].split()
    assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert status["NoNewPrivs"] == "1"


def test_no_answer_from_the_spa_port_itself(tc_house, family):
    """Not even without a listener's socket does the SPA port answer: the kernel drops what no client made."""
    tc_house.guard()
    guest = tc_house.guest(family)
    with tc_house.refuses("spa_length", 1, guest):
        tc_house.send(guest, b"anybody there?")


def test_a_spa_port_over_tcp_is_an_ordinary_port(tc_house, family):
    """TCP to the number of the SPA port is answered as by a host that has nothing there."""
    tc_house.guard()
    service = Service(Protocol.TCP, SPA_PORT)
    assert tc_house.look([tc_house.guest(family)], [service], OPEN_S) == [Outcome.REFUSED]
