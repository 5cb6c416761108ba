# SPDX-License-Identifier: MIT
"""How many SYNs per second to a protected port are dropped, against a program that drops everything.

Packets of a thousand spoofed sources go through a veth pair, sent and dropped on one CPU, in short bursts;
the programs take turns. It can be run alone: ``.venv/bin/python tests/bench/flood.py``, as root.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import doorway
import packets as p

from spale_bpf._abi import Reason, Service
from spale_core.demo.stage import DOOR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from machine import Entry

PORT = 22
SOURCES = 1024
BURST_S = 0.02
TURNS = 40
AT_LEAST = 0.95

SOL_PACKET, PACKET_QDISC_BYPASS = 263, 20


class _Vector(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Message(ctypes.Structure):
    """struct mmsghdr."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.POINTER(_Vector)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
        ("sent", ctypes.c_uint),
    )


class Flood:
    """Frames that are ready to be sent, all in one system call."""

    def __init__(self, door: doorway.Door) -> None:
        """Make the frames, to the MAC address of the door."""
        with door.stage.server.inside(), _at(DOOR) as sock:
            mac = sock.getsockname()[4]
        self._frames = [
            ctypes.create_string_buffer(frame, len(frame)) for frame in (_syn(mac, n) for n in range(SOURCES))
        ]
        self._vectors = [_Vector(ctypes.addressof(frame), len(frame)) for frame in self._frames]
        self._messages = (_Message * SOURCES)()
        for message, vector in zip(self._messages, self._vectors, strict=True):
            message.vectors, message.vector_count = ctypes.pointer(vector), 1
        self._sendmmsg = ctypes.CDLL(None, use_errno=True).sendmmsg

    def send(self, sock: socket.socket) -> int:
        """Send all; return how many were sent."""
        return max(0, self._sendmmsg(sock.fileno(), self._messages, SOURCES, 0))


def _syn(mac: bytes, number: int) -> bytes:
    source = f"198.18.{number >> 8}.{number & 0xFF}"
    packet = p.ipv4(p.tcp(PORT, p.SYN, source_port=1024 + number), p.TCP, source=source)
    return p.ethernet(packet, p.ETH_IPV4, destination=mac)


@contextmanager
def _at(interface: str) -> Iterator[socket.socket]:
    """Open a packet socket that takes nothing in and whose packets go straight to the device."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        sock.bind((interface, 0))
        sock.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
        yield sock


def drops(door: doorway.Door) -> int:
    """Return how many packets our program has dropped."""
    found = door.ours.counters().items()
    return sum(counter.packets for (reason, _), counter in found if reason is Reason.NO_GRANT)


def burst(door: doorway.Door, flood: Flood, sock: socket.socket, fd: int) -> float:
    """Return the packets per second that were dropped: by ours those it counted, else all that were sent."""
    before, sent, began = drops(door), 0, time.perf_counter()
    while (took := time.perf_counter() - began) < BURST_S:
        sent += flood.send(sock)
    return (drops(door) - before if fd == door.ours.fd else sent) / took


def compared(entry: Entry) -> tuple[float, float]:
    """Return the ratio of the drop rates, and what ours dropped per second."""
    home = os.sched_getaffinity(0)
    with doorway.Door(entry) as door:
        door.ours.service(PORT, Service.TCP)
        flood = Flood(door)
        with door.stage.client.inside(), _at("knock0") as sock:
            os.sched_setaffinity(0, {max(home)})
            try:
                other = door.other(doorway.EVERYTHING[entry])
                return door.compare(other, lambda fd: burst(door, flood, sock, fd), TURNS)
            finally:
                os.sched_setaffinity(0, home)


def main() -> int:
    """Print a line per kind of program."""
    sys.stdout.write("SYN flood, veth: what ours drops to what a program drops that drops all\n")
    for entry in doorway.ENTRIES:
        ratio, rate = compared(entry)
        verdict = "" if ratio >= AT_LEAST else "  MISSED"
        sys.stdout.write(f"{entry.name:8}{ratio:8.3f} of {AT_LEAST} ({rate / 1e6:.2f} M/s){verdict}\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
