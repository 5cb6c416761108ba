# SPDX-License-Identifier: MIT
"""What is not spale's business passes, and so does what a grant lets in, whatever its size and form."""

from __future__ import annotations

import hashlib
import os
import select
import socket
import struct
import time
from typing import TYPE_CHECKING

import pytest
from frame_table import FAMILIES, Row, plain
from frames_layer2 import Q, tagged
from frames_spa import knocking
from guards import ENFORCERS, grant
from lane import CLIENTS, DOOR, KNOCK, SERVERS, Lane, run_ip
from lanes import ForwardingLane, JumboLane
from listeners import OPEN, PROTECTED, SPA
from packets import ESP, UDP, checksum
from ways import Fate

from spale_core.demo.poll import until
from spale_core.model import Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.kernel

KINDS = {4: socket.AF_INET, 6: socket.AF_INET6}
PATIENCE_S = 5.0
SEVERAL_FRAGMENTS = 4000
JUMBO = 8900
BULK = 8 << 20

ICMP_ECHO = {4: (socket.IPPROTO_ICMP, 8, 0), 6: (socket.IPPROTO_ICMPV6, 128, 129)}
IPV6_HOPOPTS, IPV6_DSTOPTS = 54, 59
PADDING = bytes((0, 0, 1, 4, 0, 0, 0, 0))

families = pytest.mark.parametrize("family", FAMILIES, ids="ipv{}".format)


@pytest.fixture(scope="module", params=ENFORCERS)
def enforcer(request: pytest.FixtureRequest) -> str:
    """Return each enforcer in turn."""
    return request.param


@pytest.fixture(scope="module")
def guarded_lane(enforcer: str) -> Iterator[Lane]:
    """Return a guarded lane, shared by the tests here."""
    with Lane() as made:
        made.guard(enforcer)
        yield made


@pytest.fixture(scope="module")
def guarded_jumbo_lane(enforcer: str) -> Iterator[Lane]:
    """Return one that carries jumbo frames."""
    with JumboLane() as made:
        made.guard(enforcer)
        yield made


@pytest.fixture
def lane(guarded_lane: Lane) -> Iterator[Lane]:
    """Return the lane; a test's grants end with it."""
    yield guarded_lane
    tidy_up(guarded_lane)


@pytest.fixture
def jumbo_lane(guarded_jumbo_lane: Lane) -> Iterator[Lane]:
    """Return the lane for jumbo frames; a test's grants end with it."""
    yield guarded_jumbo_lane
    tidy_up(guarded_jumbo_lane)


def tidy_up(lane: Lane) -> None:
    """Revoke every grant, and forget what was heard: after much traffic there is no room for more."""
    lane.heard()
    lane.dataplane.revoke([(held.source, held.service) for held in lane.dataplane.installed()])


def client_socket(lane: Lane, family: int, kind: socket.SocketKind, protocol: int = 0) -> socket.socket:
    """Return a socket of the client, bound to its address."""
    with lane.client.inside():
        sock = socket.socket(KINDS[family], kind, protocol)
    sock.bind((CLIENTS[family], 0))
    sock.settimeout(PATIENCE_S)
    return sock


def delivered(lane: Lane, family: int, port: int, size: int) -> bool:
    """Send a datagram of so many bytes from the client; return whether it arrives as it was."""
    payload = os.urandom(size)
    with client_socket(lane, family, socket.SOCK_DGRAM) as sock:
        sock.sendto(payload, (SERVERS[family], port))
    return until(lambda: payload in lane.listeners.received(port), PATIENCE_S)


@families
@pytest.mark.parametrize("size", [56, SEVERAL_FRAGMENTS])
def test_echo(lane: Lane, family: int, size: int) -> None:
    """The host answers pings, in one piece or in fragments."""
    protocol, request, reply = ICMP_ECHO[family]
    content = os.urandom(size)
    message = struct.pack(">BBHHH", request, 0, 0, 7, 1) + content
    if family == 4:  # for IPv6 the kernel fills in the checksum
        message = message[:2] + struct.pack(">H", checksum(message)) + message[4:]
    with client_socket(lane, family, socket.SOCK_RAW, protocol) as sock:
        sock.sendto(message, (SERVERS[family], 0))
        assert until(lambda: _is_reply(sock.recv(1 << 16), family, reply, content), PATIENCE_S)


def _is_reply(packet: bytes, family: int, kind: int, content: bytes) -> bool:
    message = packet[20:] if family == 4 else packet
    return message[0] == kind and message[8:] == content


@families
def test_neighbours_find_each_other(lane: Lane, family: int) -> None:
    """With nothing known of each other, client and server resolve their addresses and connect."""
    for namespace, device in ((lane.client, KNOCK), (lane.server, DOOR)):
        run_ip(namespace, "neigh", "flush", "dev", device, "nud", "all")
    with client_socket(lane, family, socket.SOCK_STREAM) as sock:
        sock.connect((SERVERS[family], OPEN))


@families
def test_fragments_to_an_open_port(lane: Lane, family: int) -> None:
    """UDP in fragments reaches an open port, and nothing of it a protected one."""
    with client_socket(lane, family, socket.SOCK_DGRAM) as sock:
        sock.sendto(bytes(SEVERAL_FRAGMENTS), (SERVERS[family], PROTECTED))
    assert delivered(lane, family, OPEN, SEVERAL_FRAGMENTS)
    assert lane.listeners.received(PROTECTED) == []


@families
def test_fragments_with_a_grant(lane: Lane, family: int) -> None:
    """UDP in fragments reaches a protected port from a source with a grant."""
    lane.dataplane.allow([grant(CLIENTS[family], Protocol.UDP)])
    assert delivered(lane, family, PROTECTED, SEVERAL_FRAGMENTS)


@families
def test_jumbo_frames(jumbo_lane: Lane, family: int) -> None:
    """A jumbo frame passes to an open port, and with a grant to a protected one, but not without."""
    with client_socket(jumbo_lane, family, socket.SOCK_DGRAM) as sock:
        sock.sendto(bytes(JUMBO), (SERVERS[family], PROTECTED))
    assert delivered(jumbo_lane, family, OPEN, JUMBO)
    assert jumbo_lane.listeners.received(PROTECTED) == []
    jumbo_lane.dataplane.allow([grant(CLIENTS[family], Protocol.UDP)])
    assert delivered(jumbo_lane, family, PROTECTED, JUMBO)


@families
def test_bulk(lane: Lane, family: int) -> None:
    """Much data by TCP, in segments as large as the devices take, arrives as it was."""
    _pour(lane, family)


@families
def test_bulk_in_jumbo_frames(jumbo_lane: Lane, family: int) -> None:
    """The same with jumbo frames."""
    _pour(jumbo_lane, family)


def _pour(lane: Lane, family: int) -> None:
    lane.dataplane.allow([grant(CLIENTS[family], Protocol.TCP)])
    data = os.urandom(1 << 16) * (BULK >> 16)
    digest = hashlib.sha256()
    with client_socket(lane, family, socket.SOCK_STREAM) as sender:
        sender.connect((SERVERS[family], PROTECTED))
        receiver, _ = lane.listeners.streams[PROTECTED].accept()
        with receiver:
            sender.settimeout(0)
            left, end = memoryview(data), time.monotonic() + 4 * PATIENCE_S
            missing = len(data)
            while missing:
                assert time.monotonic() < end, f"{missing} bytes are missing"
                readable, writable, _ = select.select([receiver], [sender] if left else [], [], 1)
                if writable:
                    left = left[sender.send(left) :]
                if readable:
                    chunk = receiver.recv(1 << 20)
                    digest.update(chunk)
                    missing -= len(chunk)
    assert digest.digest() == hashlib.sha256(data).digest()


@families
def test_esp(lane: Lane, family: int) -> None:
    """Encrypted packets (ESP) reach who waits for them; what is in them is not for us to read."""
    content = os.urandom(64)
    with lane.server.inside():
        receiver = socket.socket(KINDS[family], socket.SOCK_RAW, ESP)
    with receiver, client_socket(lane, family, socket.SOCK_RAW, ESP) as sender:
        receiver.settimeout(PATIENCE_S)
        sender.sendto(content, (SERVERS[family], 0))
        assert receiver.recv(1 << 16).endswith(content)


@families
def test_vlans_pass_a_bridge(enforcer: str, family: int) -> None:
    """Tagged frames to somebody behind a bridge pass to open ports; protected ones are shut for all."""
    row = Row("forwarded", family, UDP, lambda way: [*tagged(way, Q, tci=7), *plain(way)])
    with ForwardingLane() as lane:
        lane.guard(enforcer)
        assert lane.probe(row, PROTECTED).fate is Fate.IGNORED
        assert lane.arrived() == []
        way = lane.way(row, OPEN)
        lane.probe_by(row, way)
        assert [way.token in frame for frame in lane.arrived()] == [True, True]


@pytest.mark.parametrize("option", [IPV6_HOPOPTS, IPV6_DSTOPTS], ids=["hop", "dst"])
def test_a_connection_with_options(lane: Lane, option: int) -> None:
    """A client whose socket adds options to each packet meets the same as one without."""

    def connecting(port: int) -> socket.socket:
        sock = client_socket(lane, 6, socket.SOCK_STREAM)
        sock.setsockopt(socket.IPPROTO_IPV6, option, PADDING)
        sock.settimeout(0)
        sock.connect_ex((SERVERS[6], port))
        return sock

    with connecting(PROTECTED) as protected, connecting(OPEN) as open_:
        assert select.select([], [open_], [], PATIENCE_S)[1]
        open_.getpeername()
        lane.settle()
        assert select.select([], [protected], [], 0)[1] == []
    lane.dataplane.allow([grant(CLIENTS[6], Protocol.TCP)])
    with connecting(PROTECTED) as granted:
        assert select.select([], [granted], [], PATIENCE_S)[1]
        granted.getpeername()


@families
def test_a_knock(lane: Lane, family: int) -> None:
    """What a client made passes in a plain packet: it is for their form that the table's others do not."""
    assert lane.probe(Row("knock", family, UDP, knocking), SPA).fate is Fate.TAKEN
