# SPDX-License-Identifier: MIT
"""How long a new interface is open: ``python tests/bench/interfaces.py``, as root.

From when the kernel is asked to make it until a program is on it, by dataplane: that is what the daemon's
answer to the kernel's notice takes, and the making itself.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from crowd import START_S, Crowd
from pyroute2 import IPRoute

from spale_bpf import interface as interfaces
from spale_bpf.programs import program_ids
from spale_core.cli.command import guarded
from spale_core.demo.poll import until
from spale_core.demo.processes import ProcessFailedError
from spale_core.demo.stage import DOOR, Stage

WAYS = {
    "tc": ("--dataplane", "tc"),
    "xdp native": ("--dataplane", "xdp", "--xdp-mode", "native"),
    "xdp generic": ("--dataplane", "xdp", "--xdp-mode", "generic"),
}
TIMES = 20
GIVE_UP_S = 10.0


def main(_arguments):
    """Print a line per dataplane."""
    sys.stdout.write(f"\nan interface that is made anew is open (veth, median of {TIMES})\n")
    for way, options in WAYS.items():
        with Stage() as stage:
            times = sorted(_measure(stage, options))
        spread = f"{times[0] * 1000:.1f} to {times[-1] * 1000:.1f} ms"
        sys.stdout.write(f"  {way:<20}{f'{statistics.median(times) * 1000:.1f} ms':>12}  {spread}\n")
    return 0


def _measure(stage, options):
    """Return the seconds for which each was open."""
    with ExitStack() as exits:
        folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="spale-bench-")))
        daemon = Crowd(folder, 1).start(stage, *options)
        exits.callback(daemon.stop)
        daemon.wait_for("ready", timeout_s=START_S)
        exits.enter_context(stage.server.inside())
        netlink = exits.enter_context(IPRoute())
        return [_remake(netlink, stage, daemon, number) for number in range(1, TIMES + 1)]


def _remake(netlink, stage, daemon, number):
    """Delete the door, wait until the daemon knows, make it; return the seconds until it is guarded."""
    netlink.link("del", index=interfaces.find(DOOR).index)
    if not until(lambda: len(daemon.events("interface_gone")) == number, GIVE_UP_S):
        raise ProcessFailedError(f"nobody noticed:\n{daemon.log.read_text()[-1000:]}")
    peer = {"ifname": "knock0", "net_ns_fd": stage.client.fd}
    began_s = time.perf_counter()
    netlink.link("add", ifname=DOOR, kind="veth", peer=peer)
    if not until(lambda: program_ids(interfaces.find(DOOR)), GIVE_UP_S):
        raise ProcessFailedError(f"it stays open:\n{daemon.log.read_text()[-1000:]}")
    return time.perf_counter() - began_s


if __name__ == "__main__":
    sys.exit(guarded("interfaces", main, sys.argv[1:]))
