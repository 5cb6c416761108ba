# SPDX-License-Identifier: MIT
"""What the sweep of sessions costs, with real maps and real connections in a namespace of its own."""

from __future__ import annotations

import resource
import socket
import statistics
import sys
import time
from contextlib import ExitStack
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from spale_core.config.settings import Settings
from spale_core.demo.stage import Namespace
from spale_core.hostsockets import HostSockets
from spale_core.interfaces import DataplaneSettings
from spale_core.log import Log
from spale_core.model import NEVER_NS, Grant, Protocol, Service, Session
from spale_core.monitor.keeper import SessionKeeper
from spale_core.testing import FakeClock
from spale_tc.attach import make

if TYPE_CHECKING:
    from spale_core.interfaces import Dataplane

CONNECTIONS = 10_000
PER_SOURCE = 16
RUNS = 7
SWEEP_S = 5
SSH = Service(Protocol.TCP, 22)
SETTINGS = Settings(("lo",), 55555, frozenset({SSH}), (), ())
SIZES = DataplaneSettings(
    spa_port=55555, rate=3, burst=3, max_grants=65536, max_sources=16, max_tags=16, max_sessions=65536,
    session_s=SETTINGS.session_s,
)  # fmt: skip


def main() -> int:
    """Print what a sweep costs in CPU time, and what share of a core that is."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    with ExitStack() as stack:
        host = Namespace()
        stack.callback(host.close)
        stack.enter_context(host.inside())
        connections = _connect(min(CONNECTIONS, (limit - 100) // 2), stack)
        dataplane = make(SIZES)
        stack.callback(dataplane.close)
        dataplane.set_services([SSH])
        now_ns = time.monotonic_ns()
        dataplane.put_sessions(
            [Session(*each, opened_ns=now_ns, last_ns=now_ns) for each in HostSockets().connections([SSH])]
        )
        _print(f"{connections} sessions, all silent", dataplane)
        pairs = {(session.source, session.service) for session in dataplane.sessions()}
        dataplane.allow([Grant(*pair, now_ns, NEVER_NS, NEVER_NS, NEVER_NS) for pair in pairs])
        _print(f"{connections} sessions, all under live grants", dataplane)
    return 0


def _connect(number: int, stack: ExitStack) -> int:
    """Connect to ourselves `number` times, from many addresses; return how many there are."""
    listener = stack.enter_context(socket.create_server(("127.0.0.1", SSH.port), backlog=128))
    for turn in range(number):
        source = str(IPv4Address("127.1.0.1") + turn // PER_SOURCE)
        stack.enter_context(socket.create_connection(listener.getsockname(), 5, (source, 0)))
        stack.enter_context(listener.accept()[0])
    return number


def _print(what: str, dataplane: Dataplane) -> None:
    keeper = SessionKeeper(SETTINGS, dataplane, Log(lambda *_: None, FakeClock()))
    costs_s = []
    for _ in range(RUNS):
        start_s = time.process_time()
        keeper.sweep(time.monotonic_ns())
        costs_s.append(time.process_time() - start_s)
    first_s, cost_s = costs_s[0], statistics.median(costs_s[1:])
    share = f"{cost_s / SWEEP_S:.1%} of a core at one every {SWEEP_S} s"
    sys.stdout.write(f"{what:45} {cost_s * 1e3:6.0f} ms, {share} (the first: {first_s * 1e3:.0f} ms)\n")


if __name__ == "__main__":
    sys.exit(main())
