# SPDX-License-Identifier: MIT
"""What the host's own connections mean for sessions: the sweep every five seconds, and the first attach."""

from __future__ import annotations

import signal
import socket
import time
from contextlib import ExitStack

import packets
import pytest
from house import ALL, LOG_S, OPEN_S
from lines import DESK, NOBODY, SWEPT_S, Desk, await_sweep, blind, sessions, state

from spale_core.demo.poll import until
from spale_core.model import SessionState

OPEN, CLOSING = SessionState
PORTS = {"PROTECTED_PORTS": ",".join(map(str, (*ALL, DESK, NOBODY)))}
IDLE_S = 2.0
"""Of the client `brief`, who has no grace."""


@pytest.fixture
def stack():
    """Return what closes everything at the end."""
    with ExitStack() as stack:
        yield stack


def a_desk(house, stack):
    """Return a desk in `house`."""
    return Desk(house, house.stage.server, house.stage.server_addresses, stack)


def test_a_sweep_compares_with_the_host(tc_house, stack):
    """Half-closed is open; TIME_WAIT, a reset and a connection that is gone are closing; the rest stays."""
    house = tc_house
    house.guard(**PORTS, SESSION_SEC=600)
    desk = a_desk(house, stack)
    guests = house.guests()
    for guest in guests:
        house.let_in("anna", guest)
    names = ("close_wait", "time_wait", "reset_by_server", "blind", "untouched")
    lines = {(name, guest.version): desk.call(guest) for name in names for guest in guests}
    never_there = [desk.call_nobody(guest) for guest in guests]
    await_sweep(house, lines["untouched", 4].connection)
    for guest in guests:
        _end(house, {name: lines[name, guest.version] for name in names})
    as_wanted = {key: CLOSING if key[0] in ("time_wait", "reset_by_server") else OPEN for key in lines}

    def found():
        kernel = sessions(house)
        return {key: kernel[line.connection].state for key, line in lines.items()}

    assert until(lambda: found() == as_wanted, SWEPT_S), found()
    assert {state(house, connection) for connection in never_there} == {OPEN}


def _end(house, lines):
    """Do to each line what its name says."""
    lines["close_wait"].ours.shutdown(socket.SHUT_WR)
    lines["reset_by_server"].reset()
    first = lines["time_wait"]
    first.theirs.close()
    first.ours.settimeout(OPEN_S)
    assert first.ours.recv(1) == b""
    first.ours.close()
    blind(house, lines["blind"], packets.RST, 10)


def test_leftovers_keep_nobody_out(tc_house, stack, wait_until):
    """Forty connections that the server reset: no way in after the grant, and no hindrance to a knock."""
    house = tc_house
    house.guard(**PORTS)
    desk = a_desk(house, stack)
    guest = house.guest(4)
    house.admit("brief", guest)
    lines = [desk.call(guest) for _ in range(40)]
    for line in lines:
        line.reset()
    wait_until(time.monotonic() + IDLE_S + 0.2)
    assert desk.refuses(guest)
    for line in lines:
        blind(house, line, packets.SYN, 1)
    assert desk.at_host() == set()
    house.admit("brief", guest)
    line = desk.call(guest)
    wait_until(time.monotonic() + IDLE_S + 0.2)
    assert line.carries()


def test_what_stands_at_the_first_attach_is_not_cut(house, stack):
    """Over IPv4 and IPv6, and half-closed too: no knock is needed; a new connection needs one."""
    desk = a_desk(house, stack)
    guests = house.guests()
    lines = [desk.call(guest) for guest in guests]
    half = desk.call(guests[0])
    half.theirs.shutdown(socket.SHUT_WR)
    house.guard(**PORTS)
    assert house.daemon.wait_for("adopted", timeout_s=LOG_S)["count"] == "3"
    assert all(line.carries() for line in lines)
    half.ours.sendall(b"still here")
    half.theirs.settimeout(OPEN_S)
    assert half.theirs.recv(64) == b"still here"
    assert all(desk.refuses(guest) for guest in guests)
    assert until(lambda: all(line.carries() for line in lines), OPEN_S)


def test_nothing_is_adopted_by_who_takes_over(tc_house, stack):
    """The second start is not the first attach: what was cut stays cut, though the host still has it."""
    desk = a_desk(tc_house, stack)
    line = desk.call(tc_house.guest(4))
    tc_house.guard(**PORTS, ADOPT=0)
    assert line.is_cut()
    tc_house.daemon.stop(signal.SIGTERM)
    tc_house.guard(**PORTS, ADOPT=1)
    assert tc_house.daemon.events("adopted") == []
    assert line.is_cut()


def test_what_was_adopted_outlives_the_daemon(tc_house, stack):
    """A restart takes it over with the other sessions."""
    desk = a_desk(tc_house, stack)
    line = desk.call(tc_house.guest(6))
    tc_house.guard(**PORTS)
    tc_house.daemon.stop(signal.SIGTERM)
    tc_house.guard(**PORTS)
    assert line.carries()


@pytest.mark.parametrize("changes", [{"ADOPT": 0}, {"SESSION_SEC": 0}], ids=("no-adopt", "no-sessions"))
def test_no_adopt(tc_house, stack, changes):
    """Then what stands is cut like anything else that has not knocked."""
    desk = a_desk(tc_house, stack)
    lines = [desk.call(guest) for guest in tc_house.guests()]
    tc_house.guard(**PORTS, **changes)
    assert all(line.is_cut() for line in lines)
    assert tc_house.daemon.events("adopted") == []
