# SPDX-License-Identifier: MIT
"""What a program at the door costs a TCP stream: iperf3 through a veth pair, without segmentation offload.

The protected port has a LIVE grant and sessions are tracked; compared is a program of the same kind that
does nothing. It can be run alone: ``.venv/bin/python tests/bench/throughput.py``, as root.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
from contextlib import contextmanager
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
    from collections.abc import Iterator

    from machine import Entry

    from spale_core.demo.stage import Namespace, Stage

PORT = 5201
RUN_S = 2
PAIRS = 7
AT_LEAST = 0.95

SIOCETHTOOL, ETHTOOL_STSO = 0x8946, 0x1F


def main() -> int:
    """Print a line per kind of program."""
    iperf = shutil.which("iperf3")
    if iperf is None:
        sys.stdout.write("TCP stream: left out, iperf3 is not installed\n")
        return 0
    sys.stdout.write(f"TCP stream, veth, no TSO: ours to a no-op program ({PAIRS} pairs of {RUN_S} s)\n")
    for entry in doorway.ENTRIES:
        ratio, rate = compared(entry, iperf)
        verdict = "" if ratio >= AT_LEAST else "  MISSED"
        sys.stdout.write(f"{entry.name:8}{ratio:8.3f} of {AT_LEAST} ({rate / 1e9:.2f} Gbit/s){verdict}\n")
        sys.stdout.flush()
    return 0


def compared(entry: Entry, iperf: str) -> tuple[float, float]:
    """Return the ratio of the throughputs, and ours in bits per second."""
    with doorway.Door(entry) as door, _serving(door.stage, iperf):
        source = door.stage.new_source(4)
        _grant(door, str(source))
        for namespace, interface in ((door.stage.client, "knock0"), (door.stage.server, DOOR)):
            _without_tso(namespace, interface)
        command = (iperf, "-c", str(door.stage.server_addresses[4]), "-p", str(PORT), "-B", str(source))
        door.hang(door.ours.fd)
        _stream(door.stage, command, 1)  # what happens only once
        other = door.other(doorway.NOTHING[entry])
        return door.compare(other, lambda _: _stream(door.stage, command, RUN_S), PAIRS)


@contextmanager
def _serving(stage: Stage, iperf: str) -> Iterator[None]:
    """Run the server of iperf3."""
    with tempfile.TemporaryDirectory(prefix="spale-bench-") as folder:
        server = Background(stage.server, [iperf, "-s", "-p", str(PORT)], Path(folder) / "iperf3.log")
        try:
            until(lambda: _listens(stage), 5)
            yield
        finally:
            server.stop()


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


def _stream(stage: Stage, command: tuple[str, ...], seconds: int) -> float:
    """Return the bits per second that arrived."""
    with stage.client.inside():
        done = subprocess.run(
            [*command, "-t", str(seconds), "-J"],
            capture_output=True,
            text=True,
            timeout=30 + seconds,
            check=True,
        )
    rate: float = json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"]
    return rate


if __name__ == "__main__":
    sys.exit(main())
