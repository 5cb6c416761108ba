# SPDX-License-Identifier: MIT
"""A state folder, a host whose clocks tests turn, and stores that are opened on them one after the other."""

from __future__ import annotations

import contextlib
from ipaddress import ip_address

from attrs import define, field

from spale_core.interfaces import StoreSettings
from spale_core.model import Grant, Holding, Protocol, Service, Source
from spale_core.stores.hosttime import Reading
from spale_core.stores.sqlite import SqliteStore
from spale_core.testing import FakeClock

S = 1_000_000_000
SSH = Service(Protocol.TCP, 22)
HERE, THERE = (Source(ip_address(f"192.0.2.{host}")) for host in (7, 8))
LINK_LOCAL = Source(ip_address("fe80::7"), 3)
KEY, OTHER_KEY = bytes([1] * 32), bytes([2] * 32)


def enc(number):
    """Return a replay identity."""
    return number.to_bytes(32)


@define
class FakeHost:
    """A `spale_core.stores.hosttime.StoreClock`: a machine that suspends and reboots when it is told to."""

    clock: FakeClock = field(factory=FakeClock)
    boot: int = 1
    suspended_ns: int = 0

    def boot_id(self):
        """Return what names this boot."""
        return f"boot {self.boot}"

    def read(self):
        """Return the present instant."""
        monotonic_ns = self.clock.monotonic_ns()
        return Reading(monotonic_ns, monotonic_ns + self.suspended_ns, self.clock.unix_ms())

    def suspend(self, seconds):
        """Sleep: the wall clock goes on, and CLOCK_MONOTONIC does not."""
        self.suspended_ns += seconds * S
        self.clock.step(seconds)

    def reboot(self, seconds, up=1):
        """Be off for some seconds, then up for a while."""
        self.boot += 1
        self.suspended_ns = 0
        self.clock = FakeClock(self.clock.unix_ms() + (seconds + up) * 1000, up * S)


@define
class Lab:
    """Where stores are opened; `said` is what they told the administrator."""

    folder: object
    runtime: object
    host: FakeHost = field(factory=FakeHost)
    said: list = field(factory=list)
    max_skew_s: int = 30

    @property
    def path(self):
        """Return the state file's path."""
        return self.folder / "spale.db"

    def make(self):
        """Open a store; the caller closes it."""
        settings = StoreSettings(self.folder, self.max_skew_s, say=self.said.append)
        return SqliteStore(settings, self.host, self.runtime)

    @contextlib.contextmanager
    def opened(self):
        """Open a store and close it."""
        with contextlib.closing(self.make()) as store:
            yield store

    @contextlib.contextmanager
    def killed(self):
        """Open a store and let go of it as SIGKILL does: nothing is written at the end."""
        store = self.make()
        try:
            yield store
        finally:
            store._file.close()

    def grant(self, source=HERE, service=SSH, **changes):
        """Return a grant that begins now: a minute live, five minutes in grace, an hour at most."""
        now_ns = self.host.clock.monotonic_ns()
        windows = {"idle_ns": 60 * S, "grace_ns": 300 * S, "end_ns": now_ns + 3600 * S, **changes}
        return Grant(source, service, **{"last_ns": now_ns, **windows})

    def hold(self, store, client="alice", source=HERE, **changes):
        """Let `client` hold such a grant; return it."""
        holding = Holding(client, self.grant(source, **changes))
        with store.transaction():
            store.put(holding)
        return holding

    def use(self, store, number, key=KEY, late_s=0):
        """Remember a datagram that was made `late_s` ago; tell whether it was new."""
        now_ms = self.host.clock.unix_ms()
        with store.transaction():
            return store.remember(key, enc(number), now_ms - late_s * 1000, now_ms)

    def files(self):
        """Return the names of all files in the folder but the journal, which may or may not be there."""
        return sorted(path.name for path in self.folder.iterdir() if not path.name.endswith("-journal"))
