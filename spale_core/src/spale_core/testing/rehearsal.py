# SPDX-License-Identifier: MIT
"""What a dataplane's offer `rehearse` promises, if it is made."""

from __future__ import annotations

import time
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from attrs import evolve

from spale_core.interfaces import DataplaneSettings
from spale_core.model import (
    Admission,
    Grant,
    PacketKind,
    Protocol,
    Reason,
    Rehearsal,
    Service,
    Session,
    SessionState,
    Source,
)
from spale_core.testing.promise import holds, same

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spale_core.model import Rehearsed

_SETTINGS = DataplaneSettings(
    spa_port=55555, rate=3, burst=3, max_grants=4, max_sources=16, max_tags=4, max_sessions=4, session_s=60
)
_SECOND_NS = 1_000_000_000
_SSH = Service(Protocol.TCP, 22)
_WIREGUARD = Service(Protocol.UDP, 51820)
_GUEST = Source(ip_address("192.0.2.7"))

_Answer = tuple[PacketKind, Admission | None, Reason | None]


def _seen(answers: Sequence[Rehearsed]) -> list[_Answer]:
    """Return each packet, by what it passes, and the reason."""
    holds(all(each.passed == (each.by is not None) for each in answers), "what passes, passes by something")
    return [(answer.kind, answer.by, answer.reason) for answer in answers]


class RehearsalContract:
    """Derive from this, and say in `rehearse` how your dataplane is asked.

    Its clock is CLOCK_MONOTONIC; `now_ns` says what that reads.
    """

    def rehearse(self, settings: DataplaneSettings, rehearsal: Rehearsal) -> Sequence[Rehearsed]:
        """Return what would become of the packets of `rehearsal`."""
        raise NotImplementedError

    def now_ns(self) -> int:
        """Return what the dataplane's clock reads."""
        return time.clock_gettime_ns(time.CLOCK_MONOTONIC)

    def _grant(self, age_s: int = 1, service: Service = _SSH, source: Source = _GUEST) -> Grant:
        """Return a grant that was used so long ago; idle is 60 s, grace 300 s."""
        last_ns = self.now_ns() - age_s * _SECOND_NS
        end_ns = self.now_ns() + 3600 * _SECOND_NS
        return Grant(source, service, last_ns, 60 * _SECOND_NS, 300 * _SECOND_NS, end_ns)

    def _session(self, age_s: int = 1, source_port: int = 40000, source: Source = _GUEST) -> Session:
        """Return an OPEN session that was used so long ago."""
        last_ns = self.now_ns() - age_s * _SECOND_NS
        here = ip_address("192.0.2.1" if source.address.version == 4 else "2001:db8::1")  # noqa: PLR2004 - IPv4
        return Session(source, _SSH, here, source_port, last_ns - _SECOND_NS, last_ns)

    def _question(self, service: Service = _SSH, *grants: Grant) -> Rehearsal:
        return Rehearsal(_GUEST, service, frozenset({_SSH, _WIREGUARD}), grants=grants)

    def test_who_has_nothing_is_dropped(self) -> None:
        """A new connection and one that nobody knows, over either protocol, from either family."""
        for source in (_GUEST, Source(ip_address("2001:db8::7")), Source(ip_address("fe80::7"), 3)):
            answers = self.rehearse(_SETTINGS, evolve(self._question(), source=source))
            wanted: list[_Answer] = [
                (PacketKind.SYN, None, Reason.NO_GRANT),
                (PacketKind.ACK, None, Reason.NO_GRANT),
            ]
            same(_seen(answers), wanted, "who has no grant is dropped")
        answers = self.rehearse(_SETTINGS, self._question(_WIREGUARD))
        same(_seen(answers), [(PacketKind.UDP, None, Reason.NO_GRANT)], "over UDP too")

    def test_a_live_grant_lets_in(self) -> None:
        """Whatever the packet is; and only its own service."""
        answers = self.rehearse(_SETTINGS, self._question(_SSH, self._grant()))
        wanted = [(PacketKind.SYN, Admission.LIVE, None), (PacketKind.ACK, Admission.LIVE, None)]
        same(_seen(answers), wanted, "LIVE lets in")
        answers = self.rehearse(_SETTINGS, self._question(_WIREGUARD, self._grant()))
        same(_seen(answers), [(PacketKind.UDP, None, Reason.NO_GRANT)], "another service is not granted")

    def test_the_packets_do_not_meet(self) -> None:
        """In GRACE a new connection gets in and makes the grant LIVE: for the next packet it is not."""
        answers = self.rehearse(_SETTINGS, self._question(_SSH, self._grant(age_s=100)))
        wanted = [(PacketKind.SYN, Admission.GRACE, None), (PacketKind.ACK, None, Reason.GRANT_GRACE)]
        same(_seen(answers), wanted, "each packet meets what was asked about")

    def test_a_dead_grant_is_none(self) -> None:
        """But it is another reason."""
        answers = self.rehearse(_SETTINGS, self._question(_SSH, self._grant(age_s=301)))
        wanted = [(PacketKind.SYN, None, Reason.GRANT_DEAD), (PacketKind.ACK, None, Reason.GRANT_DEAD)]
        same(_seen(answers), wanted, "DEAD lets nobody in")

    def test_each_session_has_its_answer(self) -> None:
        """It lets its own packets in, as long as it lasts, and no new connection; others' do not count."""
        sessions = (
            self._session(age_s=50),
            self._session(age_s=61, source_port=40001),
            evolve(self._session(age_s=110, source_port=40002), state=SessionState.CLOSING),
            self._session(source=Source(ip_address("192.0.2.8"))),
        )
        answers = self.rehearse(_SETTINGS, evolve(self._question(), sessions=sessions))
        same(_seen(answers[:1]), [(PacketKind.SYN, None, Reason.NO_GRANT)], "a session opens no other")
        found = {answer.session: (answer.by, answer.reason) for answer in answers[1:]}
        wanted = {
            sessions[0]: (Admission.SESSION, None),
            sessions[1]: (None, Reason.NO_GRANT),
            sessions[2]: (Admission.SESSION, None),
        }
        same(found, wanted, "each session of the source at the service is asked about")

    def test_always_allowed(self) -> None:
        """A prefix that holds the source lets it in; one of the other family does not."""
        for prefix, by in (("192.0.2.0/24", Admission.ALWAYS_ALLOWED), ("::/0", None)):
            question = evolve(self._question(_WIREGUARD), always_allow=(ip_network(prefix),))
            (answer,) = self.rehearse(_SETTINGS, question)
            same(answer.by, by, f"{prefix} and an IPv4 source")

    def test_what_is_not_protected(self) -> None:
        """It passes, whoever sends it."""
        answers = self.rehearse(_SETTINGS, self._question(Service(Protocol.TCP, 80)))
        same({answer.by for answer in answers}, {Admission.UNPROTECTED}, "not protected")

    def test_where_nothing_is_dropped(self) -> None:
        """The reason is what it would have been."""
        answers = self.rehearse(evolve(_SETTINGS, log_only=True), self._question(_WIREGUARD))
        same(_seen(answers), [(PacketKind.UDP, Admission.LOG_ONLY, Reason.NO_GRANT)], "LOG_ONLY")
