# SPDX-License-Identifier: MIT
"""What the tests of loader and enforcers share: interfaces, programs of somebody else, a flood.

client                         server, where the tests attach
┌────────────────────┐         ┌────────────────────┐
│ 192.0.2.2  knock0 ●┼═ veth ══┼● door0  192.0.2.1  │
│            knock1 ●┼═ veth ══┼● door1             │
└────────────────────┘         └────────────────────┘
"""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import threading
import time
from contextlib import contextmanager
from ipaddress import ip_interface

from spale_bpf import interface, libbpf, programs
from spale_bpf.libbpf import native
from spale_core.demo.stage import Namespace
from spale_core.interfaces import DataplaneSettings
from spale_core.model import Protocol, Reason, Service

DOORS = ("door0", "door1")
SERVER, CLIENT = "192.0.2.1", "192.0.2.2"
FLOODED = Service(Protocol.UDP, 9999)

SCHED_CLS, XDP = 3, 6
TC_NEXT, TC_OK, TC_SHOT = -1, 0, 2
XDP_DROP, XDP_PASS = 1, 2


def settings(**changes):
    """Return settings of small maps."""
    small = {"spa_port": 55555, "rate": 3, "burst": 3, "max_grants": 8, "max_sources": 64, "max_tags": 8}
    return DataplaneSettings(**{**small, **changes})


@contextmanager
def doors():
    """Put this thread into the server's namespace of the drawing; yield the client's."""
    server = Namespace()
    client = Namespace()
    try:
        for number, door in enumerate(DOORS):
            server.cable(door, client, f"knock{number}")
        server.add_address(DOORS[0], ip_interface(f"{SERVER}/24"))
        client.add_address("knock0", ip_interface(f"{CLIENT}/24"))
        with server.inside():
            yield client
    finally:
        client.close()
        server.close()


@contextmanager
def program(kind, name, result):
    """Load a program of somebody else that returns `result`; yield its descriptor."""
    code = struct.pack("<BBhi", 0xB7, 0, 0, result) + struct.pack("<BBhi", 0x95, 0, 0, 0)
    load = (kind, name.encode(), b"GPL", code, len(code) // 8, None)
    descriptor = native.call(name, "bpf_prog_load", *load)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def command(*words):
    """Run a real command, such as an administrator's ``tc`` or ``ip``, in the current namespace."""
    subprocess.run([shutil.which(words[0]), *words[1:]], check=True, timeout=10)


def name_of(program_id):
    """Return the name of a loaded program."""
    descriptor = libbpf.prog_get_fd_by_id(program_id)
    try:
        return libbpf.prog_info(descriptor).name
    finally:
        os.close(descriptor)


def chain(door):
    """Return the names of the programs in the TCX ingress chain, first to last."""
    return [name_of(program_id) for program_id in chained(door)]


def chained(door):
    """Return the ids of the programs in the TCX ingress chain; none before Linux 6.6."""
    found = interface.find(door)
    return libbpf.prog_query(found.index) if programs.has_tcx(found) else []


def drops(made):
    """Return how many packets a dataplane has dropped for want of a grant."""
    counter = made.counters().get(Reason.NO_GRANT)
    return counter.count if counter else 0


def until(promise, seconds=10.0):
    """Poll until `promise()` is true; fail after `seconds`."""
    end = time.monotonic() + seconds
    while not promise():
        assert time.monotonic() < end, "it has not come true in time"
        time.sleep(0.005)


class Flood:
    """UDP packets to a protected port, from the client, as fast as one thread can; none may arrive."""

    def __init__(self, client):
        """Open both ends; the calling thread is in the server's namespace."""
        self._receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._receiver.bind((SERVER, FLOODED.port))
        self._receiver.settimeout(0)
        with client.inside():
            self._sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.sent = 0

    def _run(self):
        while not self._stop.is_set():
            self.send()

    def send(self):
        """Send one packet."""
        self._sender.sendto(b"junk", (SERVER, FLOODED.port))
        self.sent += 1

    def arrived(self):
        """Return whether a packet has come through since the last call."""
        try:
            return bool(self._receiver.recv(16))
        except BlockingIOError:
            return False

    def must_arrive(self):
        """Wait until a packet that is sent from now on comes through."""
        self.drain()
        until(self.arrived)

    def must_not_arrive(self, packets=50):
        """Send some more packets; none may come through, nor one that is still on its way."""
        self.drain()
        self.await_more(packets)
        assert not self.arrived()

    def drain(self):
        """Forget what has come through."""
        while self.arrived():
            pass

    def await_more(self, packets=50):
        """Wait until some more packets have been sent."""
        target = self.sent + packets
        until(lambda: self.sent >= target)

    def __enter__(self):
        """Begin to send."""
        self._thread.start()
        return self

    def __exit__(self, *_):
        """Stop and close."""
        self._stop.set()
        self._thread.join()
        self._receiver.close()
        self._sender.close()
