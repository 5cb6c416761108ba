# SPDX-License-Identifier: MIT
"""How long a reload takes, from SIGHUP to its line in the log: ``python tests/bench/reload.py``, as root.

By the number of clients. In that time the earlier configuration goes on; the change itself is one step.
"""

from __future__ import annotations

import os
import signal
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from crowd import NETWORK4, START_S, Crowd

from spale_core.cli.command import guarded
from spale_core.demo.poll import until
from spale_core.demo.processes import ProcessFailedError
from spale_core.demo.stage import Stage

CLIENTS = (1, 1000, 10_000)
RELOADS = 9
GIVE_UP_S = 60.0


def main(_arguments):
    """Print a line per number of clients."""
    sys.stdout.write(f"\nreload, from SIGHUP to `reload` (TC, store sqlite, median of {RELOADS})\n")
    with Stage(network4=NETWORK4) as stage:
        for clients in CLIENTS:
            times = sorted(_measure(stage, clients))
            spread = f"{times[0] * 1000:.0f} to {times[-1] * 1000:.0f} ms"
            value = f"{statistics.median(times) * 1000:.0f} ms"
            sys.stdout.write(f"  {f'{clients:,} clients':<20}{value:>12}  {spread}\n")
    return 0


def _measure(stage, clients):
    """Return the seconds that each reload took."""
    with ExitStack() as exits:
        folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="spale-bench-")))
        daemon = Crowd(folder, clients).start(stage)
        exits.callback(daemon.stop)
        daemon.wait_for("ready", timeout_s=START_S)
        return [_reload(daemon, number) for number in range(RELOADS)]


def _reload(daemon, number):
    """Reload for the time with that number; return the seconds until it is said."""
    began = time.perf_counter()
    os.kill(daemon.pid, signal.SIGHUP)
    if not until(lambda: len(daemon.events("reload")) > number, GIVE_UP_S):
        raise ProcessFailedError(f"no reload:\n{daemon.log.read_text()[-1000:]}")
    elapsed_s = time.perf_counter() - began
    _await_quiet(daemon)
    return elapsed_s


def _await_quiet(daemon):
    """Wait until the listener from before has ended, so that it is no part of the next measurement."""
    children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children")
    if not until(lambda: len(children.read_text().split()) == 1, GIVE_UP_S):
        raise ProcessFailedError("the listener from before does not end")


if __name__ == "__main__":
    sys.exit(guarded("reload", main, sys.argv[1:]))
