# SPDX-License-Identifier: MIT
"""A rehearsal without a kernel: the fake dataplane judges each packet anew."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from spale_core.model import Admission, PacketKind, Protocol, Rehearsed
from spale_core.testing.fakes import FakeDataplane, judge
from spale_core.testing.packet import Packet

if TYPE_CHECKING:
    from spale_core.clock import Clock
    from spale_core.interfaces import DataplaneSettings
    from spale_core.model import Rehearsal, Session

_PACKETS = {PacketKind.SYN: Packet.NEW, PacketKind.UDP: Packet.NEW, PacketKind.ACK: Packet.OTHER}
_LAST_PORT = 65535


def rehearse(settings: DataplaneSettings, rehearsal: Rehearsal, clock: Clock) -> list[Rehearsed]:
    """Return what would become of the packets of `rehearsal` at the time of `clock`."""
    if rehearsal.service.protocol is Protocol.UDP:
        return [_play(settings, rehearsal, clock, PacketKind.UDP)]
    asked = (rehearsal.source, rehearsal.service)
    there = [session for session in rehearsal.sessions if session.connection[:2] == asked]
    acks = [_play(settings, rehearsal, clock, PacketKind.ACK, session) for session in there]
    syn = _play(settings, rehearsal, clock, PacketKind.SYN)
    return [syn, *(acks or [_play(settings, rehearsal, clock, PacketKind.ACK)])]


def _play(
    settings: DataplaneSettings,
    asked: Rehearsal,
    clock: Clock,
    kind: PacketKind,
    session: Session | None = None,
) -> Rehearsed:
    fake = FakeDataplane(settings, clock)
    fake.set_services(asked.services)
    fake.set_always_allow(asked.always_allow)
    fake.allow(asked.grants)
    fake.put_sessions(asked.sessions)
    fake.set_session_counts(Counter(each.connection[:2] for each in asked.sessions))
    packet = _PACKETS[kind]
    end = (session.source_port, session.destination) if session else (_LAST_PORT,)
    passed = fake.receive(asked.source, asked.service, packet, *end)
    reason = next(iter(fake.counters()), None)
    by = _admission(asked, packet, clock.monotonic_ns()) if passed else None
    if passed and reason is not None and by is Admission.SESSION:
        by = Admission.LOG_ONLY
    return Rehearsed(kind, passed, by, reason, session)


def _admission(asked: Rehearsal, packet: Packet, now_ns: int) -> Admission:
    """Return by what it passed; what nothing else explains, its session let in."""
    if asked.service not in asked.services:
        return Admission.UNPROTECTED
    if any(asked.source.address in prefix for prefix in asked.always_allow):
        return Admission.ALWAYS_ALLOWED
    wanted = (asked.source, asked.service)
    grant = next((each for each in asked.grants if (each.source, each.service) == wanted), None)
    if grant is None or judge(grant, packet, now_ns) is not None:
        return Admission.SESSION
    return Admission.LIVE if now_ns - grant.last_ns <= grant.idle_ns else Admission.GRACE
