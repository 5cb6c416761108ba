# SPDX-License-Identifier: MIT
"""How many knocks per second a real daemon opens and grants: ``python tests/bench/knocks.py``, as root.

2,000 clients, each from an address of its own, no rate limit; as many datagrams are under way as a socket's
buffer holds. What is counted are `granted` lines of the log: each was opened, judged, recorded by the store
and written into the kernel.
"""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import crowd

from spale_core.cli.command import guarded
from spale_core.demo.poll import until
from spale_core.demo.processes import ProcessFailedError
from spale_core.demo.stage import Stage

CLIENTS = 2000
ROUNDS = 5  # a client may make 10 claims a second
UNDER_WAY = 200
SILENCE_S = 2.0
STORES = ("sqlite", "memory")


def main(_arguments):
    """Print a line per store."""
    sys.stdout.write(f"\nknocks opened and granted ({CLIENTS:,} clients, TC, rate off)\n")
    with ExitStack() as exits:
        folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="spale-bench-")))
        stage = exits.enter_context(Stage(network4=crowd.NETWORK4))
        crowd.let_any_address_send(stage)
        clients = crowd.Crowd(folder, CLIENTS)
        requesters = clients.requesters()
        for store in STORES:
            _measure(stage, clients, store, requesters)
    return 0


def _measure(stage, clients, store, requesters):
    daemon = clients.start(stage, "--store", store, log=f"daemon-{store}.log")
    ready = daemon.wait_for("ready", timeout_s=crowd.START_S)
    pids = daemon.pid, int(ready["listener_pid"])
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


def _seal(requesters, rounds):
    """Return `rounds` datagrams of each client, each with the address that it is sent from and bound to."""
    made = []
    for _, (number, requester) in itertools.product(range(rounds), enumerate(requesters)):
        address = crowd.source(number)
        made.append((address, crowd.seal(requester, address)))
    return made


def _drive(stage, daemon, datagrams):
    """Send all, never more at a time than a buffer holds; return how many were granted."""
    with crowd.sender(stage) as udp, daemon.log.open() as log:
        log.seek(0, os.SEEK_END)
        granted = 0
        for sent, (address, payload) in enumerate(datagrams, start=1):
            crowd.send(stage, udp, payload, address)
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
