# SPDX-License-Identifier: MIT
"""What others do to the attachment of a real daemon, and that its next sweep undoes it."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager

import pytest
from house import NOTICED_S
from lab import SCHED_CLS, TC_NEXT, TC_OK, XDP, XDP_PASS, command, program

from spale_bpf import libbpf
from spale_core.demo.poll import until
from spale_core.demo.processes import run_tool
from spale_core.demo.stage import DOOR

SWEEP_S = 5


@pytest.fixture
def watched(house):
    """Return a guarded house and one guest of each family who is let in."""
    house.guard()
    guests = house.guests()
    for guest in guests:
        house.let_in("anna", guest)
    return house, guests


def index():
    """Return the door's number in the current namespace."""
    return socket.if_nametoindex(DOOR)


def take_off(enforcer):
    """Do what an administrator does who wants our program gone; the thread is in the server's namespace."""
    if enforcer == "tc":
        for number in libbpf.prog_query(index()):
            descriptor = libbpf.prog_get_fd_by_id(number)
            libbpf.prog_detach(descriptor, index())
            os.close(descriptor)
    else:
        command("ip", "link", "set", DOOR, "xdpdrv" if enforcer == "xdp-native" else "xdpgeneric", "off")


@contextmanager
def foreign_xdp(enforcer):
    """Hang somebody else's program where ours is, in its place: the daemon looks at once."""
    flags = {"xdp-native": libbpf.XDP_FLAGS_DRV_MODE, "xdp-generic": libbpf.XDP_FLAGS_SKB_MODE}[enforcer]
    with program(XDP, "xdp_balancer", XDP_PASS) as descriptor:
        libbpf.xdp_attach(descriptor, index(), flags)
        yield
        libbpf.xdp_detach(index(), flags)


def lost(house, **fields):
    """Return the first such event, waiting for a sweep."""
    return house.daemon.wait_for("attachment_lost", timeout_s=NOTICED_S, interface=DOOR, **fields)


def test_what_was_taken_off_is_back_after_a_sweep(watched, enforcer):
    """`ip link set X xdp off`, or out of the chain: after the sweep only guests get in, as before."""
    house, guests = watched
    strangers = house.guests()
    assert house.all_shut(strangers)
    with house.stage.server.inside():
        take_off(enforcer)
    assert lost(house) == {"interface": DOOR, "found": "nothing", "put_back": "yes", "count": "1"}
    assert house.all_shut(strangers)
    assert house.all_open(guests)


def test_one_that_says_ok_is_overtaken(tc_house):
    """A foreign program before ours ends the chain for everybody, until the sweep puts ours before it."""
    tc_house.guard()
    strangers = tc_house.guests()
    with tc_house.stage.server.inside(), program(SCHED_CLS, "foreign", TC_OK) as descriptor:
        libbpf.prog_attach(descriptor, index())
        assert lost(tc_house, put_back="yes")["found"].startswith("foreign (program ")
        assert libbpf.prog_query(index())[1:] == (libbpf.prog_info(descriptor).id,)
    assert tc_house.all_shut(strangers)


def test_a_knock_and_its_grant_survive_being_overtaken(tc_house):
    """What changes its place is still the same policy: who was let in stays in, and knocks still open."""
    tc_house.guard()
    guest, late = tc_house.guest(4), tc_house.guest(4)
    tc_house.let_in("anna", guest)
    with tc_house.stage.server.inside(), program(SCHED_CLS, "foreign", TC_NEXT) as descriptor:
        libbpf.prog_attach(descriptor, index())
        lost(tc_house, put_back="yes")
    assert tc_house.all_open([guest])
    tc_house.let_in("anna", late)
    assert tc_house.all_open([late])


@pytest.mark.parametrize("enforcer", ["xdp-native", "xdp-generic"], indirect=True)
def test_a_foreign_xdp_program_is_left_and_said(watched, enforcer):
    """The daemon says that it cannot, takes nothing of others off, and is back when the place is free."""
    house, _ = watched
    with house.stage.server.inside(), foreign_xdp(enforcer):
        said = lost(house, put_back="no")
        assert said["found"].startswith("xdp_balancer (program ")
        assert "ip link set" in said["note"]
    lost(house, put_back="yes")
    assert house.all_shut(house.guests())
    assert house.daemon.exit_code is None


def test_detach_ends_a_daemon_that_has_nothing_left(watched):
    """`spale detach` opens, the daemon says so and ends: it must not look like protection."""
    house, _ = watched
    said = run_tool(house.stage.server, "spale_core.cli.main", "detach")
    assert "a daemon that has nothing left to guard ends" in said
    assert house.all_open(house.guests())
    assert until(lambda: house.daemon.exit_code is not None, NOTICED_S)
    assert house.daemon.exit_code == 0
    assert house.daemon.events("detach") == [{"interface": DOOR}]
    assert house.daemon.events("attachment_lost") == []
    assert house.daemon.events("exit") == [{"cause": "detached", "attached": "no"}]
    assert house.all_open(house.guests())


def test_detach_from_one_of_two_is_for_good(tc_house):
    """The daemon goes on for the other one, and later sweeps leave the first one's ports open."""
    tc_house.stage.server.cable("door1", tc_house.stage.client, "knock1")
    tc_house.guard(IFACE=f"{DOOR},door1")
    run_tool(tc_house.stage.server, "spale_core.cli.main", "detach", "-i", DOOR)
    tc_house.daemon.wait_for("detach", timeout_s=NOTICED_S, interface=DOOR)
    ended = until(lambda: tc_house.daemon.events("attachment_lost") or tc_house.daemon.exit_code, SWEEP_S + 1)
    assert not ended
    assert tc_house.all_open(tc_house.guests())
