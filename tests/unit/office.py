# SPDX-License-Identifier: MIT
"""A reconciler with two clients, and store, dataplane and clock that tests can turn."""

from __future__ import annotations

from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

from attrs import evolve

from spale_core.clock import read
from spale_core.config.settings import ClientSettings, Settings
from spale_core.errors import StoreError
from spale_core.interfaces import DataplaneSettings, StoreSettings
from spale_core.model import Claim, Granted, Protocol, Service, Source
from spale_core.reconcile import Reconciler
from spale_core.stores.memory import MemoryStore
from spale_core.testing import FakeClock, FakeDataplane, Packet

SSH, WEB = Service(Protocol.TCP, 22), Service(Protocol.TCP, 443)
HERE, THERE = (Source(ip_address(f"192.0.2.{host}")) for host in (7, 8))
ALICE = ClientSettings("alice", bytes([1] * 32), frozenset({SSH, WEB}), idle_s=60, grace_s=300, max_s=3600)
BOB = ClientSettings("bob", bytes([2] * 32), frozenset({SSH}), idle_s=10, grace_s=10, max_s=3600)
SETTINGS = Settings(
    interfaces=("eth0",),
    listen_port=55555,
    services=frozenset({SSH, WEB}),
    server_keys=(),
    clients=(ALICE, BOB),
    client_max_sources=2,
)
SMALL = DataplaneSettings(spa_port=55555, rate=0, burst=1, max_grants=6, max_sources=8, max_tags=8)


class FragileStore(MemoryStore):
    """A store whose disk may fail when a transaction ends."""

    fails = False
    transactions = 0

    @contextmanager
    def transaction(self):
        """Count it, and raise at the end if it is to fail."""
        self.transactions += 1
        with super().transaction():
            yield
            if self.fails:
                raise StoreError("no space left on device")


class Office:
    """A reconciler with its store, its dataplane and its clock."""

    def __init__(self, settings=SETTINGS, **sizes):
        """Begin an hour ago, so that the lost memory is of the past."""
        self.clock = FakeClock()
        self.store = FragileStore(StoreSettings(Path("/nonexistent"), 30))
        self.dataplane = FakeDataplane(evolve(SMALL, **sizes), self.clock)
        self.dataplane.set_services(settings.services)
        self.reconciler = Reconciler(settings, self.store, self.dataplane, read(self.clock))
        self.clock.advance(3600)
        self.encs = iter(range(1, 1000))

    def claim(self, source=HERE, client=0, **changes):
        """Return a claim that nobody has made yet."""
        enc = next(self.encs).to_bytes(32)
        good = Claim(client, enc, self.clock.unix_ms(), source, True, frozenset(), 0)  # noqa: FBT003 - in order
        return evolve(good, **changes)

    def judge(self, *claims):
        """Return what becomes of `claims`, which have come together."""
        return self.reconciler.judge(claims, read(self.clock))

    def reason(self, claim):
        """Return why `claim` is refused, None if it is granted."""
        (answer,) = self.judge(claim)
        return None if isinstance(answer, Granted) else answer.reason

    def sweep(self):
        """Let five seconds pass and sweep."""
        self.clock.advance(5)
        return self.reconciler.sweep(read(self.clock))

    def receive(self, source=HERE, service=SSH, packet=Packet.NEW):
        """Let a packet come."""
        return self.dataplane.receive(source, service, packet)

    def held(self):
        """Return who holds what by the store."""
        return {(h.client, h.grant.source, h.grant.service) for h in self.store.live()}
