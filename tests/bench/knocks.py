# SPDX-License-Identifier: MIT
"""How many knocks per second a real daemon opens and grants: ``python tests/bench/knocks.py``, as root.

2,000 clients, each from an address of its own, no rate limit; as many datagrams are under way as a socket's
buffer holds. What is counted are `granted` lines of the log: each was opened, judged, recorded by the store
and written into the kernel.
"""

from __future__ import annotations

import itertools
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path

from spale_core.cli.command import guarded
from spale_core.demo.poll import until
from spale_core.demo.processes import Daemon, ProcessFailedError
from spale_core.demo.stage import DOOR, Stage
from spale_core.model import Protocol, Service, Source
from spale_crypto_hpke.keys import write_private, write_public
from spale_crypto_hpke.requester import HpkeRequester
from spale_crypto_hpke.suite import KeyPair

SERVICE = Service(Protocol.TCP, 22)
SPA_PORT = 55555
CLIENTS = 2000
ROUNDS = 5  # a client may make 10 claims a second
UNDER_WAY = 200
SILENCE_S = 2.0
SOURCES = int(ip_address("198.18.16.0"))
IP_PKTINFO = 8  # <linux/in.h>
STORES = ("sqlite", "memory")


def main(_arguments):
    """Print a line per store."""
    sys.stdout.write(f"\nknocks opened and granted ({CLIENTS:,} clients, TC, rate off)\n")
    with ExitStack() as exits:
        folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="spale-bench-")))
        stage = exits.enter_context(Stage(network4="198.18.0.0/15"))
        _let_any_address_send(stage)
        server, clients = KeyPair.generate(), [KeyPair.generate() for _ in range(CLIENTS)]
        _write_keys(folder, server, clients)
        requesters = [HpkeRequester(server.public, client) for client in clients]
        for store in STORES:
            _measure(stage, folder, store, requesters)
    return 0


def _let_any_address_send(stage):
    """Make a part of the network the client's own, so that it may send from each address in it."""
    stage.new_source(4)
    with stage.client.inside():
        command = ["ip", "route", "add", "local", "198.18.16.0/20", "dev", "lo"]
        subprocess.run(command, check=True, timeout=10)


def _write_keys(folder, server, clients):
    (folder / "clients").mkdir(mode=0o700)
    for number, client in enumerate(clients):
        (folder / "clients" / f"client-{number}.pem").write_bytes(write_public(client.public))
    key = folder / "server.key"
    key.touch(mode=0o600)
    key.write_bytes(write_private(server.private.private_bytes_raw()))
    (folder / "spale.conf").touch(mode=0o600)


def _measure(stage, folder, store, requesters):
    daemon, pids = _start(stage, folder, store)
    try:
        # What an earlier daemon may have granted is refused: the memory of this one is lost.
        _drive(stage, daemon, _seal(requesters, 1))
        datagrams = _seal(requesters, ROUNDS)
        before = [_cpu_s(pid) for pid in pids]
        began = time.perf_counter()
        granted = _drive(stage, daemon, datagrams)
        elapsed_s = time.perf_counter() - began
        spent = [(_cpu_s(pid) - then) / granted * 1e6 for pid, then in zip(pids, before, strict=True)]
    finally:
        daemon.stop()
    value = f"{granted / elapsed_s:,.0f} per second"
    note = f"monitor {spent[0]:.0f} us, listener {spent[1]:.0f} us each; {len(datagrams) - granted} lost"
    sys.stdout.write(f"  {'store ' + store:<20}{value:>20}  {note}\n")


def _start(stage, folder, store):
    daemon = Daemon(
        stage.server,
        folder / f"daemon-{store}.log",
        *("--config", str(folder / "spale.conf"), "-i", DOOR, "-S", str(SPA_PORT), "--dataplane", "tc"),
        *("--protect", str(SERVICE), "--rate", "0", "--store", store, "--state-dir", str(folder / "state")),
        *("--server-key", str(folder / "server.key"), "--clients", str(folder / "clients")),
    )
    ready = daemon.wait_for("ready", timeout_s=30)
    return daemon, (daemon.pid, int(ready["listener_pid"]))


def _seal(requesters, rounds):
    """Return `rounds` datagrams of each client, each with the address that it is sent from and bound to."""
    made = []
    for _, (number, requester) in itertools.product(range(rounds), enumerate(requesters)):
        source = Source(ip_address(SOURCES + number))
        made.append((source, requester.seal(unix_ms=time.time_ns() // 10**6, source=source)))
    return made


def _drive(stage, daemon, datagrams):
    """Send all, never more at a time than a buffer holds; return how many were granted."""
    target = (str(stage.server_addresses[4]), SPA_PORT)
    with stage.client.inside():
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with udp, daemon.log.open() as log:
        log.seek(0, os.SEEK_END)
        granted = 0
        for sent, (source, payload) in enumerate(datagrams, start=1):
            spec = struct.pack("=I4s4s", 0, source.address.packed, bytes(4))
            udp.sendmsg([payload], [(socket.IPPROTO_IP, IP_PKTINFO, spec)], 0, target)
            allowed = UNDER_WAY if sent < len(datagrams) else 0
            while sent - granted > allowed and (new := until(lambda: _granted(log), SILENCE_S)):
                granted += new
    if granted < 0.95 * len(datagrams):
        raise ProcessFailedError(f"only {granted} of {len(datagrams)} were granted:\n{_tail(daemon)}")
    return granted


def _granted(log):
    """Return how many `granted` lines have come since the last call; a line that is not whole has not."""
    count = 0
    while (line := log.readline()).endswith("\n"):
        count += line.startswith("granted ")
    log.seek(log.tell() - len(line))
    return count


def _tail(daemon):
    return "\n".join(daemon.log.read_text().splitlines()[-5:])


def _cpu_s(pid):
    """Return how much of the processors a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(guarded("knocks", main, sys.argv[1:]))
