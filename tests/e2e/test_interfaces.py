# SPDX-License-Identifier: MIT
"""Interfaces that come, go, and change under a real daemon: what it is to guard is shut, and stays so."""

from __future__ import annotations

import os
import signal
import statistics
from contextlib import closing

import pytest
from comings import (
    change,
    delete,
    forget_neighbours,
    furnish,
    hurried,
    is_up,
    make,
    rename,
    seconds_of_an_attach,
    seconds_until_shut,
)

from spale_core.control.client import Client
from spale_core.demo.poll import until
from spale_core.demo.processes import run_tool
from spale_core.demo.stage import DOOR

SHUT_AGAIN_S = 0.050
"""The spec's promise, for the median."""

ATTACHES = 3
"""Where so many attaches of nobody's take longer than that, the machine is too busy to keep it."""

TIMES = 20
DEADLINE_S = 30
SPARE = "spare0"


def told(house):
    """Return what `status` has of interfaces, by their names."""
    with closing(Client.connect(house.config["SOCKET"])) as client:
        return {each["interface"]: each for each in client.call("status")["interfaces"]}


def wait_for(house, name, times=1):
    """Wait until it was said so often that an interface is guarded."""
    there = until(lambda: len(house.daemon.events("attach", interface=name)) >= times, DEADLINE_S)
    assert there, house.daemon.log.read_text()[-2000:]


def test_what_comes_anew_is_shut_at_once(tc_house):
    """Deleted and made anew 20 times: shut each time, in the median within 50 ms; knocks count as before."""
    house = tc_house
    listener = house.guard()["listener_pid"]
    took_s, control_s = [], []
    with hurried(house):
        for gone in range(1, TIMES + 1):
            delete(house)
            assert until(lambda gone=gone: len(house.daemon.events("interface_gone")) == gone, DEADLINE_S)
            took_s.append(seconds_until_shut(house))
            control_s.append(seconds_of_an_attach(house))
            # Deleted before the daemon has looked at what it did, it would be said to be missing.
            wait_for(house, DOOR, gone + 1)
    bound_s = max(SHUT_AGAIN_S, ATTACHES * statistics.median(control_s))
    assert statistics.median(took_s) <= bound_s, (sorted(took_s), sorted(control_s))
    delete(house)
    make(house)
    wait_for(house, DOOR, TIMES + 2)
    strangers, guests = house.guests(), house.guests()
    assert house.all_shut(strangers)
    for guest in guests:
        house.let_in("anna", guest)
    assert house.all_open(guests)
    assert house.daemon.events("refused", reason="interface") == []
    with closing(Client.connect(house.config["SOCKET"])) as client:
        assert str(client.call("status")["listener_pid"]) == listener


def test_knocks_are_heard_as_soon_as_it_is_there(tc_house):
    """The listener that runs takes them: nothing is to be told to it, nothing lost while it would start."""
    house = tc_house
    house.guard()
    delete(house)
    make(house)
    guest = house.guest(4)
    house.send(guest, house.datagram("anna", guest))
    house.daemon.wait_for("granted", timeout_s=DEADLINE_S, source=str(guest))


def test_one_that_is_brought_up_when_it_is_guarded_was_never_open(tc_house):
    """As docs/operations.md has it: made, which is down, then guarded, and only then up."""
    house = tc_house
    house.guard()
    delete(house)
    seconds_until_shut(house)
    assert until(lambda: told(house)[DOOR]["attached"], DEADLINE_S)
    assert not is_up(house)
    furnish(house)
    assert is_up(house)
    assert house.all_shut(house.guests())


def test_what_is_waited_for_is_guarded_when_it_comes(tc_house):
    """With WAIT_INTERFACE the rest is guarded meanwhile; `ready` and `status` say what is missing."""
    house = tc_house
    ready = house.guard(IFACE=f"{DOOR},{SPARE}", WAIT_INTERFACE=1)
    assert (ready["interface"], ready["waiting"]) == (DOOR, SPARE)
    assert told(house)[SPARE] == {
        "interface": SPARE,
        "mode": None,
        "attached": False,
        "waiting": True,
        "losses": 0,
    }
    assert house.all_shut(house.guests())
    delete(house)
    assert until(lambda: told(house)[DOOR]["waiting"], DEADLINE_S)
    make(house, SPARE)
    wait_for(house, SPARE)
    assert told(house)[SPARE]["attached"]
    assert house.all_shut(house.guests())
    guests = house.guests()
    for guest in guests:
        house.let_in("anna", guest)
    assert house.all_open(guests)


def test_all_may_be_waited_for(tc_house):
    """Even the address to listen on may come with the interface; a reload changes nothing about waiting."""
    house = tc_house
    delete(house)
    address = str(house.stage.server_addresses[4])
    ready = house.guard(WAIT_INTERFACE=1, LISTEN_ADDR=address)
    assert (ready.get("interface"), ready["waiting"]) == (None, DOOR)
    os.kill(house.daemon.pid, signal.SIGHUP)
    house.daemon.wait_for("reload", timeout_s=15)
    make(house)
    wait_for(house, DOOR)
    guest = house.guest(4)
    assert house.all_shut([guest])
    house.let_in("anna", guest)
    assert house.all_open([guest])


def test_without_waiting_an_absent_interface_is_a_mistake(tc_house):
    """Exit code 78, as ever."""
    assert tc_house.fails(IFACE=f"{DOOR},{SPARE}") == os.EX_CONFIG


def test_a_renamed_one_is_guarded_beside_its_successor(tc_house):
    """Guarded stays what was; its name is free, and who takes it is guarded too, also after a reload."""
    house = tc_house
    house.guard()
    rename(house, DOOR, "gate0")
    assert house.daemon.wait_for("interface_renamed", timeout_s=DEADLINE_S) == {
        "interface": "gate0",
        "before": DOOR,
    }
    guest = house.guest(4)
    assert house.all_shut([guest])
    house.let_in("anna", guest)
    assert house.all_open([guest])
    house.stage.server.cable(DOOR, house.stage.client, "knock1")
    wait_for(house, DOOR, 2)
    both = {name: each["attached"] for name, each in told(house).items()}
    assert both == {DOOR: True, "gate0": True}
    os.kill(house.daemon.pid, signal.SIGHUP)
    house.daemon.wait_for("reload", timeout_s=15)
    assert {name: each["attached"] for name, each in told(house).items()} == both
    assert house.all_shut(house.guests())
    said = run_tool(house.stage.server, "spale_core.cli.main", "detach")
    assert all(name in said for name in both)
    assert until(lambda: house.daemon.exit_code == 0, 15)


def test_one_that_was_ignored_may_get_the_name(tc_house):
    """It was none of ours when the listener was born; by its new name it is, and its knocks count."""
    house = tc_house
    house.stage.server.cable(SPARE, house.stage.client, "knock1")
    house.guard()
    delete(house)
    rename(house, SPARE, DOOR)
    wait_for(house, DOOR, 2)
    house.daemon.wait_for("listener_ready", timeout_s=DEADLINE_S)
    delete(house)
    make(house)
    guest = house.guest(4)
    assert house.all_shut([guest])
    house.let_in("anna", guest)


@pytest.mark.parametrize("words", [("address", "02:00:00:00:00:07"), ("down",)])
def test_another_mac_or_down_and_up(house, words):
    """Not for a moment it is open, and who was let in stays so."""
    house.guard()
    guest, stranger = house.guest(4), house.guest(4)
    house.let_in("anna", guest)
    change(house, *words)
    change(house, "up")
    forget_neighbours(house)
    assert house.all_open([guest])
    assert house.all_shut([stranger])
    assert house.daemon.events("attachment_lost") == []


def test_grants_on_a_link_end_with_it(tc_house):
    """A link-local source is one on that very interface, and so is not to be found on the next."""
    house = tc_house
    house.guard()
    socket = ("--socket", str(house.config["SOCKET"]))
    add = ("authorize", "add", "--ip", f"fe80::7%{DOOR}", *socket)
    run_tool(house.stage.server, "spale_core.cli.main", *add)
    house.daemon.wait_for("authorized", timeout_s=DEADLINE_S)
    index = house.stage.server.index(DOOR)
    delete(house)
    ended = house.daemon.wait_for("deauthorized", timeout_s=DEADLINE_S)
    assert (ended["cause"], ended["source"]) == ("interface", f"fe80::7%{index}")
    with closing(Client.connect(house.config["SOCKET"])) as client:
        assert client.call("list_authorized") == []


def test_what_came_anew_has_one_daemon(tc_house):
    """The lock goes with the interface: a second daemon is refused, as it was before."""
    house = tc_house
    house.guard()
    first = house.daemon
    delete(house)
    make(house)
    wait_for(house, DOOR, 2)
    own = {"STATE_DIR": house.folder / "other", "SOCKET": house.folder / "other.sock", "LISTEN_PORT": 55556}
    assert house.fails(**own) == os.EX_UNAVAILABLE
    assert "another daemon guards door0" in house.daemon.log.read_text()
    assert first.exit_code is None
