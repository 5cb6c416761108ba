# SPDX-License-Identifier: MIT
"""What a program at the door costs a TCP stream: iperf3 through a veth pair, without segmentation offload.

The protected port has a LIVE grant and sessions are tracked; compared is a program of the same kind that
does nothing. It can be run alone: ``.venv/bin/python tests/bench/throughput.py``, as root.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import shutil
import socket
import struct
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import doorway
import packets as p
from machine import NEVER, SECOND, now_ns

from spale_bpf import _abi
from spale_bpf._abi import Service
from spale_core.demo.poll import until
from spale_core.demo.processes import Background
from spale_core.demo.stage import DOOR

if TYPE_CHECKING:
    from machine import Entry

    from spale_core.demo.stage import Namespace, Stage

PORT = 5201
MOMENT_S = 0.05
TURNS = 40
START_S = 5.0
LONGEST_S = 300
ENOUGH = 10_000_000
"""Bytes after which the stream is in full flow."""

AT_LEAST = 0.95

SIOCETHTOOL, ETHTOOL_STSO = 0x8946, 0x1F


def main() -> int:
    """Print a line per kind of program."""
    iperf = shutil.which("iperf3")
    if iperf is None:
        sys.stdout.write("TCP stream: left out, iperf3 is not installed\n")
        return 0
    sys.stdout.write(
        "TCP stream, veth, no TSO: throughput with ours to that with a program that does nothing\n"
    )
    for entry in doorway.ENTRIES:
        ratio, rate = compared(entry, iperf)
        verdict = "" if ratio >= AT_LEAST else "  MISSED"
        sys.stdout.write(f"{entry.name:8}{ratio:8.3f} of {AT_LEAST} ({rate / 1e9:.2f} Gbit/s){verdict}\n")
        sys.stdout.flush()
    return 0


def compared(entry: Entry, iperf: str) -> tuple[float, float]:
    """Return the ratio of the throughputs, and ours in bits per second."""
    with ExitStack() as exits:
        door = exits.enter_context(doorway.Door(entry))
        folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="spale-bench-")))
        stage, source = door.stage, door.stage.new_source(4)
        server = str(stage.server_addresses[4])
        _grant(door, str(source))
        for namespace, interface in ((stage.client, "knock0"), (stage.server, DOOR)):
            _without_tso(namespace, interface)
        listening = Background(stage.server, [iperf, "-s", "-p", str(PORT)], folder / "server.log")
        exits.callback(listening.stop)
        until(lambda: _listens(stage), START_S)
        door.hang(door.ours.fd)
        command = [iperf, "-c", server, "-p", str(PORT), "-B", str(source), "-t", str(LONGEST_S)]
        streaming = Background(stage.client, command, folder / "client.log")
        exits.callback(streaming.stop)
        until(lambda: _received(stage) > ENOUGH, START_S)
        client = os.pidfd_open(streaming.pid)
        exits.callback(os.close, client)
        return door.compare(door.other(doorway.NOTHING[entry]), lambda _: _rate(stage, client), TURNS)


def _listens(stage: Stage) -> bool:
    with stage.server.inside(), socket.socket() as sock:
        return sock.connect_ex((str(stage.server_addresses[4]), PORT)) == 0


def _grant(door: doorway.Door, source: str) -> None:
    """Protect the port, and let the client in."""
    loaded = door.ours
    loaded.settings(session_ns=86400 * SECOND)
    loaded.service(PORT, Service.TCP)
    loaded.grant(p.packed(source), p.TCP, PORT, _abi.Grant(now_ns(), NEVER, 0, NEVER))


def _without_tso(namespace: Namespace, interface: str) -> None:
    """Switch segmentation offload off, so that every segment is a packet of its own."""
    off = ctypes.create_string_buffer(struct.pack("=II", ETHTOOL_STSO, 0))  # struct ethtool_value
    request = struct.pack("=16sQ16x", interface.encode(), ctypes.addressof(off))  # struct ifreq
    with namespace.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCETHTOOL, request)


def _received(stage: Stage) -> int:
    """Return the bytes that have come in at the door."""
    with stage.server.inside():
        lines = Path("/proc/thread-self/net/dev").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.strip().startswith(f"{DOOR}:"))


def _rate(stage: Stage, client: int) -> float:
    """Return the bits per second that come in for a moment, in which the client (a pidfd) must not end."""
    before, began = _received(stage), time.perf_counter()
    if select.select([client], [], [], MOMENT_S)[0]:
        raise RuntimeError("iperf3 has ended")
    return 8 * (_received(stage) - before) / (time.perf_counter() - began)


if __name__ == "__main__":
    sys.exit(main())
