# SPDX-License-Identifier: MIT
"""What a user and an administrator wait for: ``python tests/bench/end_to_end.py [DATAPLANE]``, as root.

The time from sending a datagram to the first connection that is accepted, from sources that have never
knocked; from starting the daemon to its `ready`; and the memory of its two processes.
"""

from __future__ import annotations

import contextlib
import itertools
import select
import signal
import socket
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from spale_core.cli.command import guarded
from spale_core.demo.probe import Attempt, Outcome, try_doors
from spale_core.demo.processes import Background, Daemon, ProcessFailedError, python, run_tool
from spale_core.demo.stage import DOOR, Stage
from spale_core.model import Protocol, Service, Source
from spale_crypto_hpke.keys import read_key_file
from spale_crypto_hpke.requester import HpkeRequester

SERVICE = Service(Protocol.TCP, 22)
UNPROTECTED = Service(Protocol.TCP, 7777)
SPA_PORT = 55555
SOURCES = 20
CLIENTS = 5  # a client may make 10 claims a second
STARTS = 5
TARGET_MS = 2.0
RETRY_S = 0.0001
GIVE_UP_S = 5.0
MOST_TRIES = 500


def main(arguments):
    """Print the table; return 0 unless a knock opened nothing."""
    dataplane = arguments[0] if arguments else "tc"
    sys.stdout.write(f"\nend to end ({dataplane}, between two network namespaces)\n")
    with ExitStack() as exits:
        folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="spale-bench-")))
        stage = exits.enter_context(Stage())
        command = python("spale_core.demo.greeter", str(SERVICE))
        exits.callback(Background(stage.server, command, folder / "greeter.log").stop)
        options = _make_keys(stage, folder, dataplane)
        daemon, ready = _time_starts(stage, folder, options, exits)
        for family in stage.families:
            _time_knocks(stage, folder, family)
        for role, pid in (("monitor", daemon.pid), ("listener", int(ready["listener_pid"]))):
            _row(f"memory of the {role} (PSS)", f"{_pss_kib(pid) / 1024:.1f} MiB")
    return 0


def _row(what, value, note=""):
    sys.stdout.write(f"  {what:<44}{value:>12}  {note}\n")


def _make_keys(stage, folder, dataplane):
    """Make keys; return the options of the daemon."""
    server, clients = folder / "server", folder / "clients"
    run_tool(stage.server, "spale_core.cli.keygen", "server", "--out", str(server))
    public = ("--server-pub", str(server / "server.key.pub"))
    for number in range(CLIENTS):
        keygen = ("client", "--name", f"bench-{number}", "--bundle", *public, "--out", str(clients))
        run_tool(stage.server, "spale_core.cli.keygen", *keygen)
    config = folder / "spale.conf"
    config.touch(mode=0o600)
    return (
        *("--config", str(config), "-i", DOOR, "-S", str(SPA_PORT), "--dataplane", dataplane, "--rate", "0"),
        *("--protect", str(SERVICE), "--server-key", str(server / "server.key"), "--clients", str(clients)),
        *("--state-dir", str(folder / "state"), "--socket", str(folder / "spale.sock")),
    )


def _time_starts(stage, folder, options, exits):
    """Start the daemon again and again; return the last one and its `ready` event."""
    times = []
    for number in range(STARTS):
        began = time.perf_counter()
        daemon = Daemon(stage.server, folder / f"daemon-{number}.log", *options)
        ending = exits.push(lambda *_, process=daemon: _end(process))
        ready = daemon.wait_for("ready", timeout_s=15)
        times.append(time.perf_counter() - began)
        if number < STARTS - 1:
            ending(None, None, None)
    _row("start to ready, median", f"{statistics.median(times) * 1000:.0f} ms", f"{STARTS} starts, in place")
    return daemon, ready


def _end(process):
    if process.exit_code is None:
        process.stop(signal.SIGTERM)


def _time_knocks(stage, folder, family):
    keys = [(folder / "clients" / f"bench-{number}.key").read_bytes() for number in range(CLIENTS)]
    requesters = itertools.cycle([HpkeRequester(*read_key_file(key)) for key in keys])
    times = sorted(_knock_to_connect(stage, next(requesters), family) * 1000 for _ in range(SOURCES))
    median, p95 = statistics.median(times), times[int(0.95 * (SOURCES - 1) + 0.5)]
    verdict = "met" if median < TARGET_MS else "MISSED"
    _row(f"datagram to first connect, IPv{family}, median", f"{median:.2f} ms", f"{SOURCES} fresh sources")
    _row(f"datagram to first connect, IPv{family}, p95", f"{p95:.2f} ms", f"target: median < 2 ms, {verdict}")


def _knock_to_connect(stage, requester, family):
    """Knock from a fresh source and return the seconds until a connection is accepted."""
    source, target = stage.new_source(family), stage.server_addresses[family]
    _meet(stage, source, target)
    with stage.client.inside():
        kind = socket.AF_INET if family == 4 else socket.AF_INET6
        knock = socket.socket(kind, socket.SOCK_DGRAM)
        with knock, contextlib.ExitStack() as exits:
            knock.bind((str(source), 0))
            payload = requester.seal(unix_ms=time.time_ns() // 10**6, source=Source(source))
            began = time.perf_counter()
            knock.sendto(payload, (str(target), SPA_PORT))
            return _first_connect(Attempt(source, target, SERVICE), exits) - began


def _meet(stage, source, target):
    """Let both ends learn each other's MAC address: that is the network's time, not ours."""
    attempt = Attempt(source, target, UNPROTECTED)
    if try_doors(stage.client, [attempt], GIVE_UP_S)[0].outcome is not Outcome.REFUSED:
        raise ProcessFailedError(f"{source} does not reach {target}")


def _first_connect(attempt, exits):
    """Return the moment of the first connection; a lost SYN would be sent again only after a second."""
    pending = []
    deadline = time.perf_counter() + GIVE_UP_S
    while time.perf_counter() < deadline:
        if len(pending) < MOST_TRIES:
            sock = exits.enter_context(attempt.socket())
            sock.connect_ex(attempt.peer)
            pending.append(sock)
        _, writable, _ = select.select([], pending, [], RETRY_S)
        if any(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0 for sock in writable):
            return time.perf_counter()
    raise ProcessFailedError(f"the knock of {attempt.source} opened nothing")


def _pss_kib(pid):
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise ProcessFailedError(f"no memory is known of process {pid}")


if __name__ == "__main__":
    sys.exit(guarded("end_to_end", main, sys.argv[1:]))
