# SPDX-License-Identifier: MIT
"""TCP connections whose two ends a test holds in its own hands, and packets that pretend to belong to them.

  client                    server                     shed, where there is one
┌─────────────┐           ┌──────────────────┐        ┌──────────────────┐
│  knock0 ●═══╪══ veth ═══╪══● door0   yard0 ●═ veth ═╪══● gate0  desk   │
│      line   │           │       desk       │        │                  │
└─────────────┘           └──────────────────┘        └──────────────────┘
"""

from __future__ import annotations

import os
import random
import socket
from contextlib import ExitStack
from ipaddress import ip_interface
from pathlib import Path
from typing import Any

import packets
from attrs import define, field
from house import OPEN_S, SHUT_S
from lab import command

from spale_bpf import interface as interfaces
from spale_bpf import libbpf
from spale_bpf.programs import program_ids
from spale_bpf.session_maps import SessionMaps
from spale_core.demo.poll import until
from spale_core.demo.stage import DOOR, Namespace
from spale_core.hostsockets import ALIVE, HostSockets
from spale_core.model import Connection, Protocol, Service, Source

DESK = Service(Protocol.TCP, 7000)
NOBODY = Service(Protocol.TCP, 7001)
"""A protected port behind which nothing listens."""

SWEEP_S = 5.0
SWEPT_S = 2 * SWEEP_S + 2

_RESET_ON_CLOSE = b"\1\0\0\0\0\0\0\0"


@define
class Line:
    """One connection: `ours` is the client's end, `theirs` the server's."""

    ours: socket.socket
    theirs: socket.socket
    connection: Connection

    def carries(self, timeout_s=OPEN_S):
        """Tell whether a word gets to the server and its answer back."""
        word = os.urandom(8)
        self.ours.settimeout(timeout_s)
        self.theirs.settimeout(timeout_s)
        try:
            self.ours.sendall(word)
            heard = self._receive(self.theirs, word)
            self.theirs.sendall(word)
            return heard and self._receive(self.ours, word)
        except OSError:
            return False

    @staticmethod
    def _receive(sock, word):
        got = b""
        while len(got) < len(word):
            piece = sock.recv(4096)
            if not piece:
                return False
            got += piece
        return got.endswith(word)

    def is_cut(self):
        """Tell whether a word of the client does not arrive."""
        self.ours.send(b"?")
        self.theirs.settimeout(SHUT_S)
        try:
            self.theirs.recv(4096)
        except TimeoutError:
            return True
        return False

    def reset(self):
        """Reset it, from the server's side."""
        self.theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.theirs.close()


@define
class Desk:
    """Listens behind the door, or in the shed, and makes lines to itself."""

    house: Any
    namespace: Namespace
    address: dict
    stack: ExitStack
    _listener: socket.socket = field(init=False)

    def __attrs_post_init__(self):
        """Listen on both families."""
        with self.namespace.inside():
            self._listener = socket.create_server(
                ("::", DESK.port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=128
            )
        self._listener.settimeout(OPEN_S)
        self.stack.enter_context(self._listener)

    def call(self, guest):
        """Return a line from `guest`; the door must be open to it."""
        target = self.address[guest.version]
        with self.house.stage.client.inside():
            ours = socket.create_connection((str(target), DESK.port), OPEN_S, (str(guest), 0))
        self.stack.enter_context(ours)
        port = ours.getsockname()[1]
        while True:
            theirs, peer = self._listener.accept()
            self.stack.enter_context(theirs)
            if peer[1] == port:
                return Line(ours, theirs, Connection(Source(guest), DESK, target, port))

    def refuses(self, guest):
        """Tell whether a new call of `guest` meets silence."""
        kind = socket.AF_INET if guest.version == 4 else socket.AF_INET6
        with self.house.stage.client.inside(), socket.socket(kind, socket.SOCK_STREAM) as sock:
            sock.bind((str(guest), 0))
            sock.settimeout(SHUT_S)
            try:
                sock.connect((str(self.address[guest.version]), DESK.port))
            except TimeoutError:
                return True
            return False

    def call_nobody(self, guest):
        """Return the connection of a call to the protected port behind which nothing listens."""
        target = self.address[guest.version]
        kind = socket.AF_INET if guest.version == 4 else socket.AF_INET6
        with self.house.stage.client.inside(), socket.socket(kind, socket.SOCK_STREAM) as sock:
            sock.bind((str(guest), 0))
            sock.settimeout(OPEN_S)
            port = sock.getsockname()[1]
            try:
                sock.connect((str(target), NOBODY.port))
            except ConnectionRefusedError:
                return Connection(Source(guest), NOBODY, target, port)
        raise AssertionError("somebody is there")

    def at_host(self):
        """Return what the server's socket table has of its lines."""
        with self.house.stage.server.inside():
            return HostSockets().connections([DESK], ALIVE)


class Shed:
    """A host behind the server, reached through its door: a container, or a machine that it routes to."""

    def __init__(self, house, stack):
        """Build it; the server forwards."""
        self.namespace = Namespace()
        stack.callback(self.namespace.close)
        server, client = house.stage.server, house.stage.client
        server.cable("yard0", self.namespace, "gate0")
        self.address = {}
        for family, network in ((4, "203.0.113.{}/24"), (6, "2001:db8:5::{}/64")):
            near, far = (ip_interface(network.format(number)) for number in (1, 2))
            server.add_address("yard0", near)
            self.namespace.add_address("gate0", far)
            self.address[family] = far.ip
            _run_ip(
                client, "route", "add", str(far.network), "via", str(house.stage.server_addresses[family])
            )
            _run_ip(self.namespace, "route", "add", "default", "via", str(near.ip))
        with server.inside():
            for key in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
                Path("/proc/sys/net", key).write_text("1")


def _run_ip(namespace, *words):
    with namespace.inside():
        family = ["-6"] if any(":" in word for word in words) else []
        command("ip", *family, *words)


def blind(house, line, flags, count):
    """Send `count` packets with these flags as if they were `line`'s client's, with random numbers."""
    _, _, server, port = line.connection
    client = line.connection.source.address
    is_v4 = client.version == 4
    addresses = str(client), str(server)
    with house.stage.client.inside():
        raw = socket.socket(socket.AF_INET if is_v4 else socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
    wrap = packets.ipv4 if is_v4 else packets.ipv6
    with raw:
        for _ in range(count):
            numbers = random.getrandbits(32), random.getrandbits(32)
            segment = packets.tcp(DESK.port, flags, addresses=addresses, source_port=port, numbers=numbers)
            packet = wrap(segment, packets.TCP, source=addresses[0], destination=addresses[1])
            raw.sendto(packet, (addresses[1], 0))


def sessions(house):
    """Return the sessions in the daemon's kernel maps, by connection."""
    with house.stage.server.inside():
        (program,) = program_ids(interfaces.find(DOOR))
    descriptor = libbpf.prog_get_fd_by_id(program)
    with ExitStack() as stack:
        stack.callback(os.close, descriptor)
        found = {}
        for number in libbpf.prog_info(descriptor).map_ids:
            fd = libbpf.map_get_fd_by_id(number)
            stack.callback(os.close, fd)
            found[libbpf.map_info(fd).name] = fd
        in_kernel = SessionMaps(lambda name: found[name[:15]]).sessions()
    return {session.connection: session for session in in_kernel}


def state(house, connection):
    """Return the state of a connection's session, None if it has none."""
    found = sessions(house).get(connection)
    return found and found.state


def await_sweep(house, connection):
    """Wait until a sweep has renewed an OPEN session whose grant is LIVE."""
    before = sessions(house)[connection].last_ns
    assert until(lambda: sessions(house)[connection].last_ns != before, SWEPT_S)
