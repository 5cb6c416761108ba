# SPDX-License-Identifier: MIT
"""What would become of packets: a second instance of the program judges them, on maps of its own.

It is loaded as a daemon loads it, filled anew before each packet, run by BPF_PROG_TEST_RUN, and closed. By
what a packet passed is read from what it wrote there (docs/adr/0090).
"""

from __future__ import annotations

import time
from collections import Counter
from contextlib import closing
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Final

from attrs import evolve, frozen

from spale_bpf.frames import frame
from spale_core.model import Admission, Connection, PacketKind, Protocol, Reason, Rehearsed, Source

if TYPE_CHECKING:
    from collections.abc import Callable

    from spale_bpf.dataplane import BpfDataplane
    from spale_core.interfaces import DataplaneSettings
    from spale_core.model import Address, Rehearsal, Session

_LOOPBACK = 1
"""The interface that packets of BPF_PROG_TEST_RUN come in on, in every network namespace."""

_SETTLED_NS: Final = 100_000_000
"""What was used less long ago counts as used then.

The programs' clock may be some ticks behind ours (docs/adr/0057), and what a packet writes must differ from
what was there. No window is so short that it would matter.
"""

_SERVERS: Final[dict[int, Address]] = {4: IPv4Address("192.0.2.1"), 6: IPv6Address("2001:db8::1")}
"""Where packets go that belong to no session; no verdict depends on it (RFC 5737, RFC 3849)."""

_LAST_PORT = 65535
_FEW = 64
"""Entries of a map that a rehearsal writes nothing into."""


@frozen
class Stage:
    """How to rehearse with one of the objects: ``make(settings)`` loads it, `program` takes Ethernet frames.

    `passed` is what that returns for PASS, as an unsigned number of 32 bits.
    """

    make: Callable[[DataplaneSettings], BpfDataplane]
    program: str
    passed: int


@frozen
class _Packet:
    kind: PacketKind
    connection: Connection
    session: Session | None = None


def rehearse(stage: Stage, settings: DataplaneSettings, rehearsal: Rehearsal) -> list[Rehearsed]:
    """Return what would become of the packets of `rehearsal`. Raise DataplaneError."""
    asked = evolve(
        rehearsal,
        grants=tuple(grant for grant in rehearsal.grants if grant.source == rehearsal.source),
        sessions=tuple(session for session in rehearsal.sessions if session.source == rehearsal.source),
    )
    small = evolve(
        settings,
        max_grants=len(asked.grants) + 1,
        max_sessions=len(asked.sessions) + 1,
        max_sources=_FEW,
        max_tags=_FEW,
        pin_dir=None,
        pin_maps=False,
    )
    with closing(stage.make(small)) as own:
        own.set_services(asked.services)
        own.set_always_allow(asked.always_allow)
        return [_Run(stage, own, asked).answer(packet) for packet in _packets(asked)]


def _packets(asked: Rehearsal) -> list[_Packet]:
    """Return a new connection, or a UDP packet; then ACKs of those that stand, or of a made-up one."""
    there = [session for session in asked.sessions if session.service == asked.service]
    taken = {session.source_port for session in there}
    port = next(number for number in range(_LAST_PORT, 0, -1) if number not in taken)
    made_up = Connection(asked.source, asked.service, _SERVERS[asked.source.address.version], port)
    if asked.service.protocol is Protocol.UDP:
        return [_Packet(PacketKind.UDP, made_up)]
    acks = [_Packet(PacketKind.ACK, session.connection, session) for session in there]
    return [_Packet(PacketKind.SYN, made_up), *(acks or [_Packet(PacketKind.ACK, made_up)])]


class _Run:
    """One packet, in maps that are as the question has them."""

    def __init__(self, stage: Stage, own: BpfDataplane, asked: Rehearsal) -> None:
        """Put grants and sessions there, in place of what an earlier packet made of them."""
        settled_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC) - _SETTLED_NS
        self._stage, self._own, self._asked = stage, own, asked
        self._grants = [
            evolve(grant, source=_here(grant.source), last_ns=min(grant.last_ns, settled_ns))
            for grant in asked.grants
        ]
        self._sessions = [
            evolve(session, source=_here(session.source), last_ns=min(session.last_ns, settled_ns))
            for session in asked.sessions
        ]
        own.allow(self._grants)
        own.end_sessions(own.sessions())
        own.put_sessions(self._sessions)
        own.set_session_counts(Counter((session.source, session.service) for session in self._sessions))

    def answer(self, packet: _Packet) -> Rehearsed:
        """Run the packet and say what became of it."""
        connection, before = packet.connection, self._counts()
        source = connection.source.address, connection.source_port
        data = frame(packet.kind, source, (connection.destination, connection.service.port))
        passed = self._own.run(self._stage.program, data) == self._stage.passed
        reason = next(iter(self._counts() - before), None)
        by = self._admission(reason) if passed else None
        return Rehearsed(packet.kind, passed, by, reason, packet.session)

    def _counts(self) -> Counter[Reason]:
        return Counter({reason: counter.count for reason, counter in self._own.counters().items()})

    def _admission(self, reason: Reason | None) -> Admission:
        """Return by what a packet passed: what lets it in, that it writes to."""
        if reason not in (None, Reason.UNTRACKED):
            return Admission.LOG_ONLY
        if self._asked.service not in self._asked.services:
            return Admission.UNPROTECTED
        judged_ns = {(grant.source, grant.service): grant.last_ns for grant in self._own.installed()}
        for grant in self._grants:
            age_ns = judged_ns[grant.source, grant.service] - grant.last_ns
            if age_ns:
                return Admission.LIVE if age_ns <= grant.idle_ns else Admission.GRACE
        if set(self._own.sessions()) != set(self._sessions):
            return Admission.SESSION
        return Admission.ALWAYS_ALLOWED


def _here(source: Source) -> Source:
    """Return the source as the packets' interface has it: a link-local one belongs to an interface."""
    return evolve(source, ifindex=_LOOPBACK) if source.ifindex else source
