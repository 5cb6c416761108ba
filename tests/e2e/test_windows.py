# SPDX-License-Identifier: MIT
"""How long a door stays open. Each test tries all families and protocols at once: what costs here is time."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack, contextmanager

from house import ALL, OPEN_S, SHUT_S

from spale_core.demo.probe import Outcome
from spale_core.model import Protocol, Service

USED_TCP = Service(Protocol.TCP, 22)
USED_UDP = Service(Protocol.UDP, 6000)


def _let_in(house, client, **wishes):
    """Knock from one address of each family; return them and the moment by which all were let in."""
    guests = house.guests()
    house.admit(client, *guests, **wishes)
    return guests, time.monotonic()


@contextmanager
def _connections(house, guests):
    """Hold a TCP connection of each guest to the service `USED_TCP`."""
    with ExitStack() as exits:
        connections = []
        for guest in guests:
            target = str(house.stage.server_addresses[guest.version]), USED_TCP.port
            with house.stage.client.inside():
                connection = socket.create_connection(target, OPEN_S, (str(guest), 0))
            connections.append(exits.enter_context(connection))
        yield connections


def test_use_extends_the_idle_window_and_silence_ends_it(guarded, wait_until):
    """Data keeps open, beyond the idle window, the service that it is for and no other; silence shuts it."""
    idle_s = 2
    used, unused = [USED_TCP, USED_UDP], [service for service in ALL if service not in (USED_TCP, USED_UDP)]
    guests, knocked = _let_in(guarded, "brief")
    with _connections(guarded, guests) as connections:
        while time.monotonic() < knocked + 1.5 * idle_s:
            for connection in connections:
                connection.sendall(b"?")
                assert connection.recv(256).startswith(b"hello")
            assert guarded.all_open(guests, [USED_UDP])
            wait_until(time.monotonic() + idle_s / 10)
        assert guarded.all_open(guests, used)
        assert guarded.all_shut(guests, unused)
    wait_until(time.monotonic() + idle_s + 0.1)
    assert guarded.all_shut(guests)


def test_grace_rearms_a_new_connection(guarded, wait_until):
    """After the idle window a new connection gets in and re-arms the grant; after the grace none."""
    idle_s, grace_s = 1, 4
    guests, knocked = _let_in(guarded, "patient")
    wait_until(knocked + grace_s / 2)
    assert guarded.all_open(guests)
    rearmed = time.monotonic()
    wait_until(max(rearmed + idle_s, knocked + grace_s) + 0.2)
    assert guarded.all_open(guests)
    wait_until(time.monotonic() + grace_s + 0.1)
    assert guarded.all_shut(guests)


def test_max_sec_ends_a_grant_however_busy(guarded, wait_until):
    """MAX_SEC after its knock the door is shut, though in use until then; a new knock opens it."""
    max_s = 3
    began = time.monotonic()
    guests, knocked = _let_in(guarded, "mayfly")
    while time.monotonic() < began + max_s - 1.5:
        assert guarded.all_open(guests)
        wait_until(time.monotonic() + 0.1)
    wait_until(knocked + max_s + 0.1)
    assert guarded.all_shut(guests)
    for guest, payload in [(guest, guarded.datagram("mayfly", guest)) for guest in guests]:
        guarded.send(guest, payload)
    assert _opens(guarded, guests)


def test_the_clients_wish_only_narrows(guarded, wait_until):
    """A client that asks for a shorter idle window gets that as idle and as grace."""
    guests, _ = _let_in(guarded, "anna", idle_s=2)
    assert guarded.all_open(guests)
    wait_until(time.monotonic() + 2.1)
    assert guarded.all_shut(guests)
    for guest in guests:
        granted = guarded.daemon.wait_for("granted", source=str(guest))
        assert (granted["idle_s"], granted["grace_s"]) == ("2", "2")


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
