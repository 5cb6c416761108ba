# SPDX-License-Identifier: MIT
"""The two stores do the same, whatever happens, and one of them is closed, killed and opened in between."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from store_lab import HERE, LINK_LOCAL, SSH, THERE, Lab, S, enc

from spale_core.interfaces import StoreSettings
from spale_core.model import NEVER_NS, Grant, Holding, Protocol, Service, Tenure
from spale_core.stores.memory import MemoryStore

CLIENTS = st.sampled_from(["alice", "bob"])
SOURCES = st.sampled_from([HERE, THERE, LINK_LOCAL])
SERVICES = st.sampled_from([SSH, Service(Protocol.UDP, 51820)])
WINDOWS = st.integers(0, 2**31 * S) | st.just(NEVER_NS)
PUTS = st.tuples(st.just("put"), CLIENTS, SOURCES, SERVICES, WINDOWS, WINDOWS, WINDOWS)
SPANS = st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)), min_size=1, max_size=3)
TENURES = st.tuples(st.just("put_tenure"), CLIENTS, SOURCES, SERVICES, SPANS.map(tuple))
ENDS = st.tuples(st.just("delete_tenure"), CLIENTS, SOURCES, SERVICES)
DELETES = st.tuples(st.just("delete"), CLIENTS, SOURCES, SERVICES)
KEYS = st.integers(1, 2).map(lambda number: bytes([number] * 32))
TIMES = st.integers(-40_000, 40_000) | st.just(2**63)
USES = st.tuples(st.just("use"), KEYS, st.integers(0, 12), TIMES)


class _CancelledError(Exception):
    """What ends a transaction that is to fail."""


def _cancel():
    raise _CancelledError


class Stores(RuleBasedStateMachine):
    """A store that is never closed beside one that often is."""

    @initialize()
    def begin(self):
        """Open both, empty."""
        self.folder = Path(tempfile.mkdtemp(prefix="spale-stores-"))
        self.lab = Lab(self.folder / "state", self.folder / "run")
        self.memory = MemoryStore(StoreSettings(self.folder, 30))
        self.lab.make().close()
        self.sqlite = self.lab.make()

    @rule(steps=st.lists(PUTS | DELETES | USES | TENURES | ENDS, max_size=6), fails=st.booleans())
    def transaction(self, steps, fails):
        """Do several things at once, or take them back; the answers are the same."""
        answers = [self._transaction(store, steps, fails) for store in (self.memory, self.sqlite)]
        assert answers[0] == answers[1]

    @rule(seconds=st.integers(0, 50), step=st.integers(-50, 50))
    def pass_time(self, seconds, step):
        """Let time pass, and somebody turn the clock."""
        self.lab.host.clock.advance(seconds)
        self.lab.host.clock.step(step)

    @rule(clean=st.booleans())
    def restart(self, clean):
        """End the store, or kill it, and open the next one."""
        if clean:
            self.sqlite.close()
        else:
            with self.sqlite.transaction():
                pass
            self.sqlite._file.close()
        self.sqlite = self.lab.make()
        assert not self.sqlite.memory_lost, self.lab.said

    @invariant()
    def they_know_the_same(self):
        """Compare holdings, tenures and identities."""
        assert set(self.memory.live()) == set(self.sqlite.live())
        assert set(self.memory.tenures()) == set(self.sqlite.tenures())
        assert sorted(self.memory.identities()) == sorted(self.sqlite.identities())

    def teardown(self):
        """Leave nothing behind."""
        self.sqlite.close()
        shutil.rmtree(self.folder)

    def _transaction(self, store, steps, fails):
        answers = []
        try:
            with store.transaction():
                answers += [getattr(self, f"_{name}")(store, *arguments) for name, *arguments in steps]
                if fails:
                    _cancel()
        except _CancelledError:
            answers.append("cancelled")
        return answers

    def _put(self, store, client, source, service, *windows):
        last_ns = self.lab.host.clock.monotonic_ns()
        store.put(Holding(client, Grant(source, service, last_ns, *windows)))

    def _delete(self, store, client, source, service):
        store.delete(client, source, service)

    def _put_tenure(self, store, *tenure):
        store.put_tenure(Tenure(*tenure))

    def _delete_tenure(self, store, *key):
        store.delete_tenure(*key)

    def _use(self, store, key, number, off_ms):
        now_ms = self.lab.host.clock.unix_ms()
        unix_ms = off_ms if off_ms == 2**63 else now_ms + off_ms
        return store.remember(key, enc(number), unix_ms, now_ms)


Stores.TestCase.settings = settings(max_examples=100, stateful_step_count=30)
TestStores = Stores.TestCase
