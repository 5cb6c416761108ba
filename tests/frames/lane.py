# SPDX-License-Identifier: MIT
"""A client that can send any frame, and a server whose listeners notice what comes through.

      client                              server
    ┌───────────────────────┐           ┌───────────────────────────────┐
    │ 198.18.0.2  knock0 ●══╪══ veth ═══╪═● door0  198.18.0.1  ports:   │
    │ and whoever else the  │           │    22  protected, listened at │
    │ frames claim to be    │           │  8080  open,      listened at │
    └───────────────────────┘           │    23  protected, nobody there│
                                        │  8081  open,      nobody there│
                                        │ 55555  the SPA port           │
                                        └───────────────────────────────┘

Every probe comes from an address of its own, so that no fragment, half-open connection or late answer of one
probe is taken for another's. The server routes all of them to the client, whose interface hears the answers.
"""

from __future__ import annotations

import itertools
import os
import shutil
import struct
import subprocess
import time
from contextlib import ExitStack, closing, contextmanager
from ipaddress import ip_interface, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

import packets as p
from guards import make_dataplane
from listeners import Ear, Listeners
from senders import Copied
from ways import Seen, Way, answers

from spale_core.demo.stage import Namespace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from frame_table import Row

    class _Closes(Protocol):
        def close(self) -> None: ...


_Closable = TypeVar("_Closable", bound="_Closes")

DOOR, KNOCK = "door0", "knock0"
DOOR_MAC, KNOCK_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"  # those that packets.ethernet writes
SERVERS = {4: "198.18.0.1", 6: "2001:db8::1"}
CLIENTS = {4: "198.18.0.2", 6: "2001:db8::2"}
BITS = {4: 24, 6: 64}
SOURCES = {4: ip_network("198.19.0.0/16"), 6: ip_network("2001:db8:1::/112")}
MAPPED = "::ffff:198.18.0.1"
TOKEN_BYTES = 8
PATIENCE_S = 5.0
ETHERNET_BYTES = 14

# With these the server takes, and answers, as much as a Linux host can be made to.
ANY = "*"
GENEROUS = {
    "ipv4/conf/*/accept_source_route": 1,
    "ipv4/conf/*/rp_filter": 0,
    "ipv4/icmp_ratemask": 0,
    "ipv4/tcp_synack_retries": 0,
    "ipv6/icmp/ratemask": 255,
    "ipv6/conf/*/accept_source_route": 1,
    "ipv6/conf/*/seg6_enabled": 1,
    "ipv6/conf/*/rpl_seg_enabled": 1,
}


def run_ip(namespace: Namespace, *words: str) -> None:
    """Run ip(8) in a namespace."""
    with namespace.inside():
        subprocess.run([shutil.which("ip") or "ip", *words], check=True, timeout=10)


def write_sysctls(namespace: Namespace, values: dict[str, int]) -> None:
    """Set what is below /proc/sys/net in a namespace; what this kernel does not have is left out."""
    with namespace.inside():
        for path in (Path("/proc/sys/net", name) for name in values):
            if path.exists():
                path.write_text(str(values[str(path.relative_to("/proc/sys/net"))]))


class Lane:
    """The drawing above; a context manager."""

    layer2 = True
    """Whether its packets come with an Ethernet header."""

    door = DOOR
    """The interface of the server that is guarded."""

    enforcer = ""
    """What guards it: tc, tc-clsact, xdp-native, xdp-generic; or nothing does."""

    patience_s = PATIENCE_S
    """How long to wait for the server's last word."""

    def __init__(self) -> None:
        """Build it, with nothing attached."""
        self._numbers = itertools.count(16)
        self._cpu = sorted(os.sched_getaffinity(0))[os.getpid() % len(os.sched_getaffinity(0))]
        with ExitStack() as building:
            self._exit = building
            self.server = self.keep(Namespace())
            self.lay()
            self.listeners = self.keep(Listeners(*self.home))
            self._exit = building.pop_all()

    def keep(self, thing: _Closable) -> _Closable:
        """Return `thing`, which is closed with the lane."""
        return self._exit.enter_context(closing(thing))

    def lay(self) -> None:
        """Make the server's interface and whatever is at its other end."""
        self.lay_cable()
        self.move_in(self.server, DOOR)

    def lay_cable(self) -> None:
        """Join client and server, who has no address yet."""
        self.client = self.keep(Namespace())
        self.server.cable(DOOR, self.client, KNOCK)
        run_ip(self.server, "link", "set", DOOR, "address", DOOR_MAC)
        run_ip(self.client, "link", "set", KNOCK, "address", KNOCK_MAC)
        for family in (4, 6):
            self.client.add_address(KNOCK, ip_interface(f"{CLIENTS[family]}/{BITS[family]}"))
        self._ear = self.keep(Ear(self.client, KNOCK))
        self._copied = self.keep(Copied(self.client, KNOCK))

    def move_in(self, home: Namespace, device: str) -> None:
        """Give the server's addresses to a device, and the way back to every source; listen there."""
        self.home = home, device
        values = {key.replace(ANY, device): value for key, value in GENEROUS.items()}
        write_sysctls(home, {**{key.replace(ANY, "all"): value for key, value in GENEROUS.items()}, **values})
        for family in (4, 6):
            home.add_address(device, ip_interface(f"{SERVERS[family]}/{BITS[family]}"))
            way_back = ["dev", device]
            if self.layer2:
                run_ip(home, "neigh", "replace", CLIENTS[family], "lladdr", KNOCK_MAC, "dev", device)
                way_back = ["via", CLIENTS[family]]
            run_ip(home, "route", "add", str(SOURCES[family]), *way_back)
        run_ip(home, "route", "add", "local", MAPPED, "dev", device)

    def guard(self, enforcer: str) -> None:
        """Put an enforcer on the door."""
        self.enforcer = enforcer
        self.dataplane = self.keep(make_dataplane(enforcer))
        with self.server.inside():
            self.dataplane.attach([self.door])

    def dropped(self) -> int:
        """Return how many packets the guard has dropped by now."""
        return sum(counter.count for counter in self.dataplane.counters().values())

    def __enter__(self) -> Self:
        """Return the lane."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take everything away."""
        self._exit.close()

    def send(self, frame: bytes) -> None:
        """Let a frame arrive at the server."""
        self._copied.send(frame)

    def heard(self) -> list[bytes]:
        """Return the packets that the server has sent since the last call."""
        return [frame[ETHERNET_BYTES:] for frame in self._ear.heard()]

    def source(self, family: int) -> str:
        """Return an address from which nothing has come yet."""
        return str(SOURCES[family][next(self._numbers)])

    def way(self, row: Row, port: int) -> Way:
        """Return a way for a probe by `row`."""
        return Way(
            row.family,
            row.protocol,
            row.source or self.source(row.family),
            row.destination or SERVERS[row.family],
            port,
            os.urandom(TOKEN_BYTES),
        )

    def probe(self, row: Row, port: int) -> Seen:
        """Send the frames of `row` to `port` and return what becomes of them."""
        return self.probe_by(row, self.way(row, port))

    def probe_by(self, row: Row, way: Way) -> Seen:
        """Send the frames of `row` on this way."""
        with _on_one_cpu(self._cpu):
            for frame in row.build(way):
                self.send(frame)
            heard = tuple(packet for packet in self.settle() if answers(packet, way))
        return Seen(heard, any(way.token in payload for payload in self.listeners.received(way.port)))

    def settle(self) -> list[bytes]:
        """Wait until the server has dealt with all that was sent; return what it has answered.

        One CPU deals with one frame after the other: when an echo comes back, what was sent before is done.
        """
        token = os.urandom(TOKEN_BYTES)
        echo = struct.pack(">BBHHH", 8, 0, 0, 0, 1) + token
        echo = echo[:2] + struct.pack(">H", p.checksum(echo)) + echo[4:]
        packet = p.ipv4(echo, p.ICMP, source=CLIENTS[4], destination=SERVERS[4])
        self.send(p.ethernet(packet, p.ETH_IPV4))
        heard = []
        end = time.monotonic() + self.patience_s
        while not any(token in packet for packet in heard):
            assert time.monotonic() < end, "the server answers no echo"
            heard += self.heard()
        return [packet for packet in heard if token not in packet]


@contextmanager
def _on_one_cpu(cpu: int) -> Iterator[None]:
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, everywhere)
