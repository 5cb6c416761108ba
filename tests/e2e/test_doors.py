# SPDX-License-Identifier: MIT
"""Who finds which door open: by every enforcer, over IPv4 and IPv6, for TCP and UDP."""

from __future__ import annotations

import shutil
import socket

import pytest
from house import ALL, LOG_S, OPEN_S, SHUT_S

from spale_core.demo.poll import until
from spale_core.demo.probe import Outcome
from spale_core.demo.processes import Background
from spale_core.model import Protocol, Service

SSH = Service(Protocol.TCP, 22)
UNPROTECTED = Service(Protocol.TCP, 7777)


def test_a_stranger_meets_silence(guarded, family):
    """Whoever has not knocked gets no answer from any protected service: no SYN-ACK, no RST, no ICMP."""
    assert guarded.all_shut([guarded.guest(family)])


def test_a_knock_opens_every_service_to_its_source(guarded, family):
    """After one knock all that the client may have is open to the address that knocked."""
    guest = guarded.guest(family)
    granted = guarded.let_in("anna", guest)
    assert granted["client"] == "anna"
    assert granted["fingerprint"].startswith("SHA256:")
    assert guarded.all_open([guest])


def test_a_knock_opens_nothing_to_anybody_else(guarded, family):
    """While one address is let in, another one of the same network still meets silence."""
    guest, stranger = guarded.guest(family), guarded.guest(family)
    guarded.let_in("anna", guest)
    assert guarded.all_shut([stranger])
    assert guarded.all_open([guest])


def test_a_knock_over_one_family_opens_nothing_to_the_other(guarded):
    """A knock from an IPv4 address lets no IPv6 address in, nor the reverse."""
    guests = guarded.guests()
    others = guarded.guests()
    for guest in guests:
        guarded.let_in("anna", guest)
    assert guarded.all_shut(others)
    assert guarded.all_open(guests)


def test_a_client_gets_only_the_services_that_it_may_have(guarded, family):
    """A client whose configuration names one service finds only that one open."""
    guest = guarded.guest(family)
    guarded.let_in("usher", guest)
    assert guarded.all_open([guest], [SSH])
    assert guarded.all_shut([guest], [service for service in ALL if service != SSH])


def test_a_client_gets_only_the_services_that_it_asks_for(guarded, family):
    """A datagram that lists services opens those and no others."""
    guest = guarded.guest(family)
    guarded.let_in("anna", guest, "--services", "6000/udp,22/tcp")
    wanted = [SSH, Service(Protocol.UDP, 6000)]
    assert guarded.all_open([guest], wanted)
    assert guarded.all_shut([guest], [service for service in ALL if service not in wanted])


def test_asking_for_too_much_opens_nothing(guarded, family):
    """A datagram that lists a service beyond what its client may have is refused as a whole."""
    guest = guarded.guest(family)
    with guarded.refuses("services_not_allowed", 1, guest):
        guarded.knock("usher", guest, "--services", "22/tcp,6000/tcp")
    assert guarded.all_shut([guest])


def test_ports_that_are_not_protected_are_left_alone(guarded, family):
    """A port that is not protected answers everybody as if nothing were attached: here, by refusing."""
    assert guarded.look([guarded.guest(family)], [UNPROTECTED], OPEN_S) == [Outcome.REFUSED]


def test_what_the_server_itself_begins_is_answered(guarded, family):
    """The server's own connections go out, and their answers come in."""
    target = guarded.guest(family)
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    with guarded.stage.client.inside():
        listener = socket.create_server((str(target), 7778), family=kind)
    with listener, guarded.stage.server.inside():
        connection = socket.create_connection((str(target), 7778), timeout=OPEN_S)
        connection.close()


def test_a_redis_behind_the_door(house):
    """A real redis-server answers its client after the knock, and is silent before it."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    service = Service(Protocol.TCP, 6379)
    command = [program, "--port", "6379", "--bind", "*", "--protected-mode", "no", "--save", "", "--dir", "/"]
    redis = Background(house.stage.server, command, house.folder / "redis.log")
    try:
        guest = house.guest(4)
        assert until(lambda: _ping_redis(house, guest, SHUT_S) == b"+PONG\r\n", LOG_S)
        house.guard(PROTECTED_PORTS=service, USHER_PORTS=service)
        assert _ping_redis(house, guest, SHUT_S) is None
        house.let_in("anna", guest)
        assert _ping_redis(house, guest, OPEN_S) == b"+PONG\r\n"
    finally:
        redis.stop()


def _ping_redis(house, guest, timeout_s):
    """Return redis' answer to PING, None if there is no answer."""
    try:
        with house.stage.client.inside():
            connection = socket.create_connection(
                (str(house.stage.server_addresses[4]), 6379), timeout_s, (str(guest), 0)
            )
        with connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64)
    except OSError:
        return None
