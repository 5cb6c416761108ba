# SPDX-License-Identifier: MIT
"""Sessions end with the last client that held their source and service when their SYN passed.

Whoever comes, connects, falls silent or is revoked meanwhile, and however often the daemon restarts. The
model knows of each session who held the pair then; the reconciler has to find that out.
"""

from __future__ import annotations

from attrs import evolve
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from office import HERE, SETTINGS, SSH, THERE, WEB, Office

from spale_core.clock import read
from spale_core.config.settings import ClientSettings
from spale_core.model import NEVER_NS
from spale_core.reconcile import Reconciler
from spale_core.testing import Packet

NAMES = ("anna", "bert", "cleo")
BOTH = frozenset({SSH, WEB})
CLIENTS = tuple(
    ClientSettings(name, bytes([number + 1] * 32), BOTH, idle_s=10, grace_s=10, max_s=-1)
    for number, name in enumerate(NAMES)
)
EVERYBODY = evolve(SETTINGS, clients=CLIENTS, client_max_sources=16)
SIZES = {"max_grants": 64, "max_sessions": 512, "session_s": 100_000}
PLACES = st.tuples(st.sampled_from([HERE, THERE]), st.sampled_from([SSH, WEB]))
WHO = st.sampled_from(range(len(NAMES)))


class Clients(RuleBasedStateMachine):
    """A reception with three clients, two addresses and two services."""

    @initialize()
    def begin(self):
        """Open it."""
        self.office = Office(EVERYBODY, **SIZES)
        self.owners = {}
        self.port = 0

    def holders(self, pair):
        """Return who holds `pair` at this moment, by the rule for grants."""
        now_ns = self.office.clock.monotonic_ns()
        shares = self.office.reconciler._ledger.holdings.shares(pair)
        in_kernel = {(each.source, each.service): each for each in self.office.dataplane.installed()}
        last_ns = in_kernel[pair].last_ns if pair in in_kernel else 0
        windows = {name: (max(share.last_ns, last_ns), share.idle_ns) for name, share in shares.items()}
        return {name for name, (last, idle) in windows.items() if idle == NEVER_NS or now_ns - last <= idle}

    @rule(client=WHO, place=PLACES)
    def knock(self, client, place):
        """Let a client in, for one service."""
        self.office.clock.advance(0.2)
        self.office.judge(self.office.claim(place[0], client, services=frozenset({place[1]})))

    @rule(place=PLACES, again=st.booleans())
    def connect(self, place, again):
        """Send a SYN, perhaps on a connection that is there; whoever holds the pair now owns it."""
        self.office.clock.advance(0.2)
        self.port += not again
        holders = self.holders(place)
        if self.office.dataplane.receive(*place, Packet.NEW, source_port=self.port):
            self.owners[(*place, self.port)] = holders
            assert holders

    @rule(seconds=st.sampled_from([1, 4, 11]))
    def pass_time(self, seconds):
        """Let time pass, and the sweeps go on as they do."""
        for _ in range(seconds):
            self.office.clock.advance(1)
            self.office.reconciler.sweep(read(self.office.clock))

    @rule()
    def forget(self):
        """Forget the rows of which no session is left."""
        sessions = list(self.office.dataplane.sessions())
        self.office.reconciler.forget_owners(sessions, self.office.clock.monotonic_ns())

    @rule(client=WHO)
    def revoke(self, client):
        """Let a client go."""
        self.office.clock.advance(0.2)
        self.office.reconciler.revoke(NAMES[client], read(self.office.clock))
        self.lose(NAMES[client])

    @rule(client=st.none() | WHO)
    def restart(self, client):
        """Start anew, perhaps without a client, who is back at the start after that."""
        kept = tuple(each for number, each in enumerate(CLIENTS) if number != client)
        for clients in (kept, CLIENTS):
            left = {(each.source, each.service): each for each in self.office.dataplane.installed()}
            self.office.reconciler = Reconciler(
                evolve(EVERYBODY, clients=clients),
                self.office.store,
                self.office.dataplane,
                read(self.office.clock),
            )
            self.office.reconciler.restore(read(self.office.clock), left)
            self.office.reconciler.sweep(read(self.office.clock))
            self.office.reconciler.expel(read(self.office.clock))
            self.office.clock.advance(0.2)
        if client is not None:
            self.lose(NAMES[client])

    def lose(self, name):
        """Take `name` out of the model."""
        for session, owners in list(self.owners.items()):
            owners.discard(name)
            if not owners:
                del self.owners[session]

    @invariant()
    def the_same_sessions_are_left(self):
        """Compare; and what the store has is what the reconciler knows."""
        found = {(each.source, each.service, each.source_port) for each in self.office.dataplane.sessions()}
        assert found == set(self.owners)
        owners = self.office.reconciler._ledger.owners
        tenures = list(self.office.store.tenures())
        assert all(owners.spans(each.client, (each.source, each.service)) == each.spans for each in tenures)
        assert {each.client for each in tenures} == set(owners.clients())


Clients.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestClients = Clients.TestCase
