# SPDX-License-Identifier: MIT
"""What a restart costs, and how long a start takes: ``python tests/bench/life_cycle.py``, as root.

A stranger tries all the time while daemons are stopped, or killed, and started; knocks come all the time too,
each from an address of its own, and the gap is the time between the last one that was granted before and the
first one after. Then starts with more and more clients, the second and later ones, which take over.
"""

from __future__ import annotations

import itertools
import select
import signal
import statistics
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import crowd

from spale_core.cli.command import guarded
from spale_core.demo.poll import until
from spale_core.demo.processes import Background, ProcessFailedError, python
from spale_core.demo.stage import Stage

PEST = Path(__file__).parents[1] / "e2e" / "pest.py"
RESTARTS = 10
ENDS = (signal.SIGTERM, signal.SIGKILL)
KNOCKERS = 20  # a client may make 10 claims a second
EVERY_S = 0.01
AROUND_S = 0.3
ANSWER_S = 5.0
STARTS = 5
CROWDS = (1, 1_000, 10_000)


def main(_arguments):
    """Print a line per way to end, and one per number of clients."""
    with ExitStack() as exits:
        folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="spale-bench-")))
        stage = exits.enter_context(Stage(network4=crowd.NETWORK4))
        crowd.let_any_address_send(stage)
        sys.stdout.write(
            f"\nrestarts ({RESTARTS} each, a stranger and a knock every {EVERY_S * 1e3:.0f} ms)\n"
        )
        _measure_restarts(stage, folder / "restarts")
        sys.stdout.write(f"\nstart to `ready` (median of {STARTS})\n")
        for size in CROWDS:
            _measure_start(stage, crowd.Crowd(folder / str(size), size), size)
    return 0


def _measure_restarts(stage, folder):
    clients = crowd.Crowd(folder, KNOCKERS)
    with ExitStack() as exits:
        greeter = python("spale_core.demo.greeter", *map(str, crowd.SERVICES))
        exits.callback(Background(stage.server, greeter, folder / "greeter.log").stop)
        daemon = _ready(clients.start(stage, log="first.log"))
        stranger = Stranger(stage, folder / "pest.log")
        exits.callback(stranger.stop)
        for end in ENDS:
            tries, answers = stranger.counts()
            daemon, gaps = _restart(stage, clients, daemon, end)
            tries, answers = stranger.counts()[0] - tries, stranger.counts()[1] - answers
            value = f"{statistics.median(gaps) * 1e3:.0f} ms"
            note = f"in which no knock is granted (longest {max(gaps) * 1e3:.0f} ms)"
            let_in = f"{answers} of {tries} tries of the stranger let in"
            sys.stdout.write(f"  {end.name:<20}{value:>20}  {note}; {let_in}\n")
        daemon.stop()


def _restart(stage, clients, daemon, end):
    """End daemons by a signal and start others; return the last one, and the gaps in seconds."""
    with Knocking(stage, clients) as knocking:
        for number in range(RESTARTS):
            _let_time_pass()
            knocking.daemons.append(daemon)
            daemon.stop(end)
            daemon = _ready(clients.start(stage, log=f"{end.name}-{number}.log"))
        _let_time_pass()
        knocking.daemons.append(daemon)
    return daemon, knocking.gaps()


def _ready(daemon):
    daemon.wait_for("ready", timeout_s=crowd.START_S)
    return daemon


def _let_time_pass():
    """Let some knocks be granted between two restarts."""
    select.select([], [], [], AROUND_S)


class Stranger:
    """Tries a TCP and a UDP service without a pause."""

    def __init__(self, stage, log):
        """Send him in."""
        source, target = stage.new_source(4), stage.server_addresses[4]
        command = [sys.executable, str(PEST), str(source), str(target)]
        self._process = Background(stage.client, command, log)
        if not until(lambda: self.counts()[0], ANSWER_S):
            raise ProcessFailedError("the stranger does not try")

    def counts(self):
        """Return how often he has tried, and how often he got in."""
        lines = [line for line in self._process.log.read_text().splitlines(keepends=True) if line[-1] == "\n"]
        return tuple(int(word) for word in lines[-1].split()) if lines else (0, 0)

    def stop(self):
        """Call him back."""
        self._process.stop()


class Knocking:
    """Knocks in a thread of its own, at an even pace, and knows when each was sent."""

    _numbers = itertools.count()
    """Of all that ever were: a daemon may have been knocked at before."""

    def __init__(self, stage, clients):
        """Prepare; `daemons` are those that are to grant them, in order."""
        self._stage = stage
        self._requesters = clients.requesters()
        self._sent = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._knock)
        self.daemons = []

    def __enter__(self):
        """Begin."""
        self._udp = crowd.sender(self._stage)
        self._thread.start()
        return self

    def __exit__(self, *_):
        """End."""
        self._end.set()
        self._thread.join()
        self._udp.close()

    def _knock(self):
        due_s = time.monotonic()
        while not self._end.wait(max(0.0, due_s - time.monotonic())):
            due_s += EVERY_S
            number = next(self._numbers)
            address = crowd.source(number)
            payload = crowd.seal(self._requesters[number % KNOCKERS], address)
            self._sent[str(address)] = time.monotonic()
            crowd.send(self._stage, self._udp, payload, address)

    def gaps(self):
        """Return, for each two daemons in a row, the seconds between the knocks that they granted."""
        granted = [self._granted(daemon) for daemon in self.daemons]
        if not all(granted):
            raise ProcessFailedError("a daemon has granted nothing; is the machine too busy?")
        return [min(after) - max(before) for before, after in itertools.pairwise(granted)]

    def _granted(self, daemon):
        """Return when the knocks were sent that a daemon has granted."""
        sources = [event["source"] for event in daemon.events("granted")]
        return [self._sent[source] for source in sources if source in self._sent]


def _measure_start(stage, clients, size):
    taken_s = []
    for turn in range(STARTS + 1):
        began_s = time.monotonic()
        daemon = _ready(clients.start(stage))
        # The first one makes what the later ones find.
        taken_s += [time.monotonic() - began_s] if turn else []
        daemon.stop()
    what = f"{size:,} client{'s' if size > 1 else ''}"
    longest = f"longest {max(taken_s):.2f} s"
    sys.stdout.write(f"  {what:<20}{f'{statistics.median(taken_s):.2f} s':>20}  {longest}\n")


if __name__ == "__main__":
    sys.exit(guarded("life_cycle", main, sys.argv[1:]))
