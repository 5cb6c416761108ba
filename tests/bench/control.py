# SPDX-License-Identifier: MIT
"""What commands cost knocks: ``python tests/bench/control.py``, as root.

One knock after the other, each granted before the next: from the datagram's way into the socket to the
`granted` line. With nobody at the management socket, and with each kind of caller there; what they add is to
stay below a millisecond. The two are measured in turns, because machines have moods.
"""

from __future__ import annotations

import multiprocessing
import os
import select
import socket
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import crowd

from spale_core.cli.command import guarded
from spale_core.demo.processes import ProcessFailedError
from spale_core.demo.stage import Stage

CLIENTS = 2000
KNOCKS = 150
TURNS = 3
BOUND_MS = 1.0
PAUSE_S = 0.002
GIVE_UP_S = 5.0
LIST = b'{"jsonrpc":"2.0","id":1,"method":"list_clients"}\n'
HELLO = b'{"jsonrpc":"2.0","id":1,"method":"hello"}\n'

CALLERS = {
    "20 that list 2,000 clients": (20, LIST * 50, True),
    "20 that send garbage": (20, (os.urandom(4000).replace(b"\n", b"x") + b"\n") * 50, True),
    "20 that send long lists": (20, (b"[" + b",".join([b"1e9"] * 2000) + b"]\n") * 50, True),
    "20 that send a megabyte": (20, b"x" * (1 << 20), True),
    "60 that never read": (60, LIST * 50, False),
    "200 at once": (200, HELLO * 50, True),
}
"""How many, what each sends again and again, and whether they read the answers."""


def main(_arguments):
    """Print a line per kind of caller."""
    sys.stdout.write(f"\nwhat callers at the management socket add to a knock (bound: {BOUND_MS} ms)\n")
    with ExitStack() as exits:
        folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="spale-bench-")))
        stage = exits.enter_context(Stage(network4=crowd.NETWORK4))
        crowd.let_any_address_send(stage)
        clients = crowd.Crowd(folder, CLIENTS)
        daemon = clients.start(stage, "--store", "memory")
        exits.callback(daemon.stop)
        daemon.wait_for("ready", timeout_s=crowd.START_S)
        knocker = Knocker(stage, daemon, clients.requesters())
        knocker.knock(KNOCKS)
        for name, (number, payload, reads) in CALLERS.items():
            alone, beside = [], []
            for _ in range(TURNS):
                alone += knocker.knock(KNOCKS)
                with called(folder / "spale.sock", number, payload, reads=reads):
                    beside += knocker.knock(KNOCKS)
            _row(name, alone, beside)
    return 0


def _row(name, alone, beside):
    added = statistics.median(beside) - statistics.median(alone)
    nine = sorted(beside)[int(len(beside) * 0.9)] - sorted(alone)[int(len(alone) * 0.9)]
    note = f"median of {statistics.median(alone) * 1000:.2f} ms alone; nine of ten: {nine * 1000:+.2f} ms"
    sys.stdout.write(f"  {name:<30}{f'{added * 1000:+.2f} ms':>12}  {note}\n")


class Knocker:
    """Sends knocks, each of another client from another address, and waits for each to be granted."""

    def __init__(self, stage, daemon, requesters):
        """Begin with the first client."""
        self._stage = stage
        self._daemon = daemon
        self._log = daemon.log.open()
        self._log.seek(0, os.SEEK_END)
        self._begun = ""
        self._requesters = requesters
        self._number = 0

    def knock(self, times):
        """Return how many seconds each took."""
        with crowd.sender(self._stage) as udp:
            return [self._knock_once(udp) for _ in range(times)]

    def _knock_once(self, udp):
        address = crowd.source(self._number)
        payload = crowd.seal(self._requesters[self._number % CLIENTS], address)
        self._number += 1
        began = time.perf_counter()
        crowd.send(self._stage, udp, payload, address)
        while time.perf_counter() - began < GIVE_UP_S:
            if any(line.startswith("granted ") for line in self._new_lines()):
                return time.perf_counter() - began
            select.select([], [], [], 0.0001)
        raise ProcessFailedError(f"a knock was not granted:\n{self._daemon.log.read_text()[-1000:]}")

    def _new_lines(self):
        """Return what was written since; a line that crosses a page may be there in part only."""
        *lines, self._begun = (self._begun + self._log.read()).split("\n")
        return lines


@contextmanager
def called(path, number, payload, *, reads):
    """Let that many callers send `payload` again and again while entered; who is cut off comes back."""
    # A process of its own: what it takes from this one would be measured too.
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_bother, args=(path, number, payload, reads), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def _bother(path, number, payload, reads):
    callers = {}
    while True:
        select.select([], [], [], PAUSE_S)
        for caller in list(callers):
            if not _go_on(caller, callers, payload, reads=reads):
                del callers[caller]
                caller.close()
        while len(callers) < number and (caller := _connected(path)):
            callers[caller] = b""


def _connected(path):
    """Return a caller, None if there is no place in the queue."""
    caller = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    caller.settimeout(0)
    try:
        caller.connect(str(path))
    except OSError:
        caller.close()
        return None
    return caller


def _go_on(caller, callers, payload, *, reads):
    """Send what fits, read what is there; return whether it is still connected."""
    try:
        rest = callers[caller] or payload
        callers[caller] = rest[caller.send(rest) :]
        return not reads or caller.recv(1 << 20) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(guarded("control", main, sys.argv[1:]))
