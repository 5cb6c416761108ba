# SPDX-License-Identifier: MIT
"""What a daemon left in the kernel goes on under the next one: sessions, and since when grants were used."""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack

import pytest
from house import ALL, START_S
from lines import DESK, Desk

from spale_core.demo.poll import until

PORTS = ",".join(map(str, (*ALL, DESK)))
IDLE_S = 3
SHORT = {"PROTECTED_PORTS": PORTS, "BRIEF_IDLE_SEC": IDLE_S, "BRIEF_GRACE_SEC": 0}


@pytest.fixture
def stack():
    """Return what closes everything at the end."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def desk(house, stack):
    """Return a desk in a house that is guarded, where grants of `brief` end after some silence."""
    house.guard(**SHORT)
    return Desk(house, house.stage.server, house.stage.server_addresses, stack)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_connection_survives_its_daemon(house, desk, end, wait_until):
    """Its grant has ended; the daemon ends and another starts; it goes on, and nobody new gets in."""
    guests = house.guests()
    house.admit("brief", *guests)
    lines = [desk.call(guest) for guest in guests]
    wait_until(time.monotonic() + IDLE_S + 0.2)
    assert all(desk.refuses(guest) for guest in guests)
    house.daemon.stop(end)
    house.guard(**SHORT)
    assert house.daemon.events("inherited") == [{"sessions": str(len(guests))}]
    assert all(line.carries() for line in lines)
    assert all(desk.refuses(guest) for guest in guests)
    house.daemon.stop(end)
    house.guard(**SHORT)
    assert all(line.carries() for line in lines)


def test_what_was_opened_while_no_daemon_ran(house, desk, wait_until):
    """The kernel lets in and tracks by itself; the next daemon finds it."""
    guest = house.guest(4)
    house.let_in("anna", guest)
    house.daemon.stop(signal.SIGKILL)
    line = desk.call(guest)
    house.guard(**SHORT, ANNA_IDLE_SEC=1, ANNA_GRACE_SEC=0)
    wait_until(time.monotonic() + 1.2)
    assert desk.refuses(guest)
    assert line.carries()


def test_what_is_not_protected_any_more_is_left_behind(house, desk):
    """A service that comes back later begins without sessions."""
    guest = house.guest(4)
    house.admit("brief", guest)
    line = desk.call(guest)
    house.daemon.stop()
    house.guard(**{**SHORT, "PROTECTED_PORTS": ",".join(map(str, ALL))})
    assert house.daemon.events("inherited") == []
    assert line.carries()
    house.daemon.stop()
    house.guard(**SHORT)
    assert line.is_cut()


def test_adopted_connections_survive_too(house, stack):
    """Who was connected before the first start stays so through all the later ones."""
    desk = Desk(house, house.stage.server, house.stage.server_addresses, stack)
    lines = [desk.call(guest) for guest in house.guests()]
    for _ in range(3):
        house.guard(**SHORT)
        assert all(line.carries() for line in lines)
        house.daemon.stop(signal.SIGKILL)


def test_a_grant_that_was_used_while_no_daemon_ran(house, wait_until):
    """One service is used for longer than its grant lives without; it goes on, the others have ended."""
    short = {"ANNA_IDLE_SEC": IDLE_S, "ANNA_GRACE_SEC": 0}
    house.guard(**short)
    guest = house.guest(4)
    house.let_in("anna", guest)
    used, *rest = ALL
    house.daemon.stop(signal.SIGKILL)
    end = time.monotonic() + IDLE_S + 0.1
    while time.monotonic() < end:
        assert house.all_open([guest], [used])
        wait_until(time.monotonic() + 0.1)
    house.start(**short)
    assert until(lambda: house.all_open([guest], [used]) and house.daemon.events("ready"), START_S)
    assert house.daemon.events("restored") == [{"count": "1", "ended": str(len(rest))}]
    assert house.all_open([guest], [used])
    assert house.all_shut([guest], rest)


def test_an_ended_client_stays_ended(house):
    """A client that expired while no daemon ran is not let in by what the kernel remembers."""
    house.guard(STORE="sqlite")
    guest = house.guest(4)
    house.let_in("anna", guest)
    house.daemon.stop(signal.SIGKILL)
    assert house.all_open([guest])
    house.guard(STORE="sqlite", ANNA_EXPIRES="2020-01-01")
    assert house.all_shut([guest])
