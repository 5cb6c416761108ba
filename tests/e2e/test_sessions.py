# SPDX-License-Identifier: MIT
"""TCP connections that were let in live on, whatever becomes of their grant; nobody else gets in by them."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack

import packets
import pytest
from house import LOG_S, OPEN_S, Ear
from lines import DESK, SWEPT_S, Desk, Shed, blind, sessions, state

from spale_core.demo.poll import until
from spale_core.model import SessionState

IDLE_S = 2.0
"""Of the client `brief` in the hall, who has no grace."""

MIB = 1 << 20


@pytest.fixture
def stack():
    """Return what closes everything at the end."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def desk(hall, stack):
    """Return a desk in the hall."""
    return Desk(hall, hall.stage.server, hall.stage.server_addresses, stack)


def silence(wait_until, idle_s=IDLE_S):
    """Wait until a grant that nobody has used since has ended."""
    wait_until(time.monotonic() + idle_s + 0.2)


def test_a_connection_survives_silence(hall, desk, wait_until):
    """Longer than idle and grace together; then data both ways. A new one of its client needs a knock."""
    guests = hall.guests()
    hall.admit("brief", *guests)
    lines = [desk.call(guest) for guest in guests]
    silence(wait_until)
    assert all(desk.refuses(guest) for guest in guests)
    for line in lines:
        assert line.carries()
    assert all(desk.refuses(guest) for guest in guests), "what a session lets in extends no grant"


def test_a_half_closed_connection_goes_on(hall, desk, wait_until):
    """1 MiB still arrives after the client's FIN and the grant's end; then the last words of both sides."""
    guests = hall.guests()
    hall.admit("brief", *guests)
    lines = [desk.call(guest) for guest in guests]
    for line in lines:
        line.ours.sendall(b"all of it, please")
        line.ours.shutdown(socket.SHUT_WR)
    silence(wait_until)
    for line in lines:
        assert line.theirs.recv(64) == b"all of it, please"
        assert line.theirs.recv(64) == b""
        sender = threading.Thread(target=_say_all, args=(line.theirs, MIB))
        sender.start()
        line.ours.settimeout(OPEN_S)
        heard = _hear_all(line.ours)
        sender.join()
        assert heard == MIB
    assert until(lambda: not desk.at_host() & {line.connection for line in lines}, OPEN_S)


def _say_all(sock, length):
    sock.settimeout(OPEN_S)
    sock.sendall(bytes(length))
    sock.close()


def _hear_all(sock):
    heard = 0
    while piece := sock.recv(1 << 16):
        heard += len(piece)
    return heard


def test_last_words_arrive(hall, desk, wait_until):
    """Whoever hangs up first after the grant's end: the server is not left waiting for a FIN or an ACK."""
    guests = hall.guests()
    hall.admit("brief", *guests)
    by_client = [desk.call(guest) for guest in guests]
    by_server = [desk.call(guest) for guest in guests]
    silence(wait_until)
    for line in by_client:
        line.ours.close()
        line.theirs.settimeout(OPEN_S)
        assert line.theirs.recv(1) == b""
        line.theirs.close()
    for line in by_server:
        line.theirs.close()
        line.ours.settimeout(OPEN_S)
        assert line.ours.recv(1) == b""
        line.ours.close()
    ended = {line.connection for line in (*by_client, *by_server)}
    assert until(lambda: not desk.at_host() & ended, OPEN_S)


def test_blind_packets_cut_nobody_off(hall, desk, wait_until):
    """1,000 RSTs and FINs with random numbers against an open and against a silent session: both carry on."""
    guests = hall.guests()
    for client in ("anna", "brief"):
        hall.admit(client, *guests)
    busy = [desk.call(guest) for guest in guests]
    quiet_guests = hall.guests()
    hall.admit("brief", *quiet_guests)
    quiet = [desk.call(guest) for guest in quiet_guests]
    silence(wait_until)
    for line in (*busy, *quiet):
        blind(hall, line, packets.RST, 400)
        blind(hall, line, packets.FIN | packets.ACK, 400)
        blind(hall, line, packets.RST | packets.ACK, 200)
        assert until(lambda it=line: _is_closing(hall, it), LOG_S), "the program cannot know better"
        assert line.carries()
    swept = [line for line in (*busy, *quiet) if until(lambda it=line: _is_open(hall, it), SWEPT_S)]
    assert len(swept) == len(busy) + len(quiet), "the host knows better"
    assert all(line.carries() for line in swept)


def _is_closing(hall, line):
    """Send one more, and tell whether the program believes it; a sweep may come between that and the look."""
    blind(hall, line, packets.RST, 1)
    return state(hall, line.connection) is SessionState.CLOSING


def _is_open(hall, line):
    return state(hall, line.connection) is SessionState.OPEN


def test_a_syn_needs_a_grant(hall, desk, wait_until):
    """On the four-tuple of a live connection too: the server never sees it, so it does not answer."""
    guests = hall.guests()
    hall.admit("brief", *guests)
    lines = [desk.call(guest) for guest in guests]
    silence(wait_until)
    with Ear(hall.stage) as ear:
        for guest, line in zip(guests, lines, strict=True):
            blind(hall, line, packets.SYN, 20)
            assert ear.answers(guest) == []
            assert line.carries()
    with Ear(hall.stage) as ear:
        for guest, line in zip(guests, lines, strict=True):
            blind(hall, line, packets.ACK, 20)
            assert until(lambda it=guest: ear.answers(it), OPEN_S), "what the session lets in, it answers"


def test_sixty_four_of_one_source_and_service(hall, desk, wait_until):
    """The 65th gets in by its grant, is named in the log, and ends with the grant; the others go on."""
    guest = hall.guest(4)
    hall.admit("brief", guest)
    lines = [desk.call(guest) for _ in range(65)]
    assert lines[-1].carries()
    event = hall.daemon.wait_for("untracked", timeout_s=LOG_S, last_source=str(guest))
    assert event["count"] == "1"
    silence(wait_until)
    assert lines[0].carries()
    assert lines[63].carries()
    assert lines[64].is_cut()
    assert len([each for each in sessions(hall) if each.source.address == guest]) == 64
    other = hall.guest(4)
    hall.admit("brief", other)
    assert desk.call(other).carries()


def test_connections_that_end_elsewhere(hall, stack, wait_until):
    """Forwarded to a host behind the server, of which the server's own sockets know nothing."""
    shed = Shed(hall, stack)
    desk = Desk(hall, shed.namespace, shed.address, stack)
    guests = hall.guests()
    assert all(desk.refuses(guest) for guest in guests)
    hall.admit("brief", *guests)
    lines = [desk.call(guest) for guest in guests]
    silence(wait_until)
    assert all(desk.refuses(guest) for guest in guests)
    assert all(line.carries() for line in lines)
    assert {state(hall, line.connection) for line in lines} == {SessionState.OPEN}
    lines[0].ours.shutdown(socket.SHUT_WR)
    lines[0].theirs.settimeout(OPEN_S)
    assert lines[0].theirs.recv(1) == b""
    lines[0].theirs.sendall(b"good bye")
    lines[0].ours.settimeout(OPEN_S)
    assert lines[0].ours.recv(64) == b"good bye"


def test_another_service_needs_its_own(hall, desk, wait_until):
    """A session is of one service and one address of the server."""
    guest = hall.guest(4)
    hall.admit("brief", guest)
    line = desk.call(guest)
    silence(wait_until)
    found = [each for each in sessions(hall) if each.source.address == guest]
    assert found == [line.connection]
    assert (found[0].service, found[0].destination) == (DESK, hall.stage.server_addresses[4])
    assert hall.all_shut([guest])
