# SPDX-License-Identifier: MIT
"""How long a door stays open. Each test tries all families and protocols at once: what costs here is time."""

from __future__ import annotations

import socket
import time

from house import OPEN_S, SHUT_S

from spale_core.demo.probe import Outcome


def _let_in(house, client):
    """Knock from one address of each family; return them and the moment by which all were let in."""
    guests = house.guests()
    for guest in guests:
        house.let_in(client, guest)
    return guests, time.monotonic()


def _hold_connections(house, guests):
    """Return an open TCP connection of each guest to the first service."""
    connections = []
    for guest in guests:
        with house.stage.client.inside():
            target = str(house.stage.server_addresses[guest.version]), 22
            connections.append(socket.create_connection(target, OPEN_S, (str(guest), 0)))
    return connections


def test_use_extends_the_idle_window_and_silence_ends_it(guarded, wait_until):
    """Data on a connection keeps the door open beyond the idle window; after as much silence it is shut."""
    idle_s = 2
    guests, knocked = _let_in(guarded, "brief")
    connections = _hold_connections(guarded, guests)
    while time.monotonic() < knocked + 1.5 * idle_s:
        for connection in connections:
            connection.sendall(b"?")
            assert connection.recv(256).startswith(b"hello")
        wait_until(time.monotonic() + idle_s / 10)
    assert guarded.all_open(guests)
    for connection in connections:
        connection.close()
    wait_until(time.monotonic() + idle_s + 0.1)
    assert guarded.all_shut(guests)


def test_grace_rearms_a_new_connection(guarded, wait_until):
    """After the idle window a new connection gets in and re-arms the grant; after the grace none."""
    idle_s, grace_s = 1, 2
    guests, knocked = _let_in(guarded, "patient")
    wait_until(knocked + idle_s + 0.3)
    assert guarded.all_open(guests)
    rearmed = time.monotonic()
    wait_until(max(rearmed + idle_s + 0.2, knocked + grace_s + 0.2))
    assert guarded.all_open(guests)
    wait_until(time.monotonic() + grace_s + 0.1)
    assert guarded.all_shut(guests)


def test_max_sec_ends_a_grant_however_busy(guarded, wait_until):
    """MAX_SEC after its knock the door is shut, though in use until then; a new knock opens it."""
    max_s = 2
    guests, knocked = _let_in(guarded, "mayfly")
    while time.monotonic() < knocked + max_s - 0.7:
        assert guarded.all_open(guests)
        wait_until(time.monotonic() + 0.1)
    wait_until(knocked + max_s + 0.1)
    assert guarded.all_shut(guests)
    for guest in guests:
        guarded.knock("mayfly", guest)
    assert _opens(guarded, guests)


def test_the_clients_wish_only_narrows(guarded, wait_until):
    """A client that asks for a shorter idle window gets that as idle and as grace."""
    guests = guarded.guests()
    for guest in guests:
        granted = guarded.let_in("anna", guest, "--idle-sec", "1")
        assert (granted["idle_s"], granted["grace_s"]) == ("1", "1")
    assert guarded.all_open(guests)
    wait_until(time.monotonic() + 1.1)
    assert guarded.all_shut(guests)


def test_the_clients_wish_never_widens(guarded):
    """A client that asks for more than the server's idle window gets the server's."""
    granted = guarded.let_in("brief", guarded.guest(4), "--idle-sec", "600")
    assert (granted["idle_s"], granted["grace_s"]) == ("2", "0")


def _opens(house, guests):
    """Tell whether all doors open soon; each look is short, for a knock may not have been honoured yet."""
    deadline = time.monotonic() + OPEN_S
    while set(house.look(guests, timeout_s=SHUT_S)) != {Outcome.OPEN}:
        if time.monotonic() > deadline:
            return False
    return True
