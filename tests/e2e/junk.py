# SPDX-License-Identifier: MIT
"""Sieges of a house: junk at its SPA port while its clients knock, and what that costs the daemon."""

from __future__ import annotations

import os
import socket
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import flooder
import packets as p
from attrs import frozen
from house import LOG_S, SPA_PORT

from spale_core.demo.poll import until
from spale_core.demo.processes import Background
from spale_core.demo.stage import DOOR
from spale_core.model import Protocol, Service

KNOCK = "knock0"
SSH = Service(Protocol.TCP, 22)
FRAMES = 4096
TAG_BYTES, LENGTH = 8, 128
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
KNOCKS = 10
KNOCKED_S = 5.0
"""A knock that opens later than that does not count."""

CLIENTS = {4: "anna", 6: "usher"}
"""Who knocks over which family: two, for one client may claim ten times a second only."""


@frozen
class Siege:
    """One kind of junk: `payload(besieged, victim)` makes one, `rate` is per second and victim, 0: what goes.

    `reason` is what the kernel must call it. `strange`: it comes from random addresses, not the victims' own.
    """

    payload: object
    rate: int
    reason: str
    strange: bool = False


@frozen
class Toll:
    """What came of a siege: knocks that opened, frames sent, seconds, the daemon's CPU time and its lines."""

    opened: int
    sent: int
    seconds: float
    cpu_s: float
    lines: list[str]

    @property
    def cpu(self):
        """Return the daemon's share of one CPU."""
        return self.cpu_s / self.seconds

    def __str__(self):
        """Return it in a line."""
        rate = self.sent / self.seconds
        return f"{self.opened} of {KNOCKS} opened, {rate:,.0f} packets/s, CPU {self.cpu:.1%}"


def random_junk(_besieged, _victim):
    """Return what nobody made."""
    return os.urandom(LENGTH)


def tagged_junk(besieged, victim):
    """Return random bytes behind a tag that is good now, as whoever hears a knock can."""
    return besieged.sniffed(victim)[:TAG_BYTES] + os.urandom(LENGTH - TAG_BYTES)


def copy(besieged, victim):
    """Return a datagram that has been used."""
    return besieged.sniffed(victim)


SIEGES = {
    "own address, 20": Siege(random_junk, 20, "unknown_tag"),
    "own address, 200": Siege(random_junk, 200, "unknown_tag"),
    "own address, 10000": Siege(random_junk, 10_000, "unknown_tag"),
    "random addresses": Siege(random_junk, 0, "unknown_tag", strange=True),
    "good tag, 2000": Siege(tagged_junk, 2000, "bad_mac"),
    "good tag": Siege(tagged_junk, 0, "bad_mac"),
    "copies": Siege(copy, 0, "replay"),
}


class Besieged:
    """A guarded house, the processes of its daemon, and the victims: one address of each family at a time."""

    def __init__(self, house):
        """Guard the house, with a limit that junk would soon spend if it could."""
        self.house = house
        ready = house.guard(SPA_RL_RATE=5, SPA_RL_BURST=5)
        with house.stage.server.inside(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
            sock.bind((DOOR, 0))
            self._door_mac = sock.getsockname()[4]
        self._pids = int(ready["pid"]), int(ready["listener_pid"])
        self._sieges = 0
        self._sniffed = {}

    def sniffed(self, victim):
        """Return the victim's last knock."""
        return self._sniffed[victim]

    def knock(self, victim):
        """Knock as the victim; return whether that opens."""
        granted = self._granted(victim)
        self._sniffed[victim] = self.house.datagram(CLIENTS[victim.version], victim)
        self.house.send(victim, self._sniffed[victim])
        return until(lambda: self._granted(victim) > granted, KNOCKED_S)

    def _granted(self, victim):
        return len(self.house.daemon.events("granted", source=str(victim)))

    def endure(self, siege, seconds):
        """Return the toll of a siege of so many seconds, in which the victims knock ten times."""
        victims = self._new_victims()
        assert all(self.knock(victim) for victim in victims)
        frames = [self._frame(siege, victims[number % len(victims)]) for number in range(FRAMES)]
        lines, cpu_s, began = len(self._lines()), self._cpu_s(), time.monotonic()
        with self._flood(frames, siege.rate * len(victims), seconds) as flood:
            opened = 0
            for number in range(KNOCKS):
                moment = began + number * seconds / KNOCKS
                until(lambda moment=moment: time.monotonic() >= moment, seconds)
                opened += self.knock(victims[number % len(victims)])
            until(lambda: flood.exit_code is not None, seconds + LOG_S)
        took, cpu_s = time.monotonic() - began, self._cpu_s() - cpu_s
        until(lambda: f"reason={siege.reason} " in "\n".join(self._lines()[lines:]), LOG_S)
        sent = int(flood.log.read_text().split()[-1])
        assert self.house.all_open(victims, [SSH])
        return Toll(opened, sent, took, cpu_s, self._lines()[lines:])

    def _new_victims(self):
        """Return an address of each family from where nobody has come yet, nor from its neighbourhood."""
        self._sieges += 1
        victims = [self.house.guest_at(f"2001:db8:1:{self._sieges}::1")] if self.house.stage.has_ipv6 else []
        return [self.house.guest(4), *victims]

    def _frame(self, siege, victim):
        family = victim.version
        addresses = str(victim), str(self.house.stage.server_addresses[family])
        if siege.strange:
            addresses = str(type(victim)(int.from_bytes(os.urandom(victim.max_prefixlen // 8)))), addresses[1]
        datagram = p.udp(SPA_PORT, siege.payload(self, victim), addresses)
        make, ethertype = (p.ipv4, p.ETH_IPV4) if family == 4 else (p.ipv6, p.ETH_IPV6)
        packet = make(datagram, p.UDP, source=addresses[0], destination=addresses[1])
        return p.ethernet(packet, ethertype, destination=self._door_mac)

    @contextmanager
    def _flood(self, frames, rate, seconds):
        """Let frames rain on the door meanwhile; wait until it has begun."""
        path = self.house.folder / "frames"
        flooder.write_frames(path, frames)
        arguments = (KNOCK, str(rate), str(seconds), str(path))
        command = [sys.executable, "-P", flooder.__file__, *arguments]
        flood = Background(self.house.stage.client, command, self.house.folder / f"flood-{self._sieges}.log")
        try:
            assert until(lambda: "begun" in flood.log.read_text(), LOG_S)
            yield flood
        finally:
            flood.stop()

    def _cpu_s(self):
        """Return the CPU time of monitor and listener so far (proc(5))."""
        stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split() for pid in self._pids]
        return sum(int(stat[11]) + int(stat[12]) for stat in stats) / TICKS_PER_S

    def _lines(self):
        return self.house.daemon.log.read_text().splitlines()
