# SPDX-License-Identifier: MIT
"""What every dataplane promises about sessions, apart from what it does to packets."""

from __future__ import annotations

from contextlib import closing
from ipaddress import ip_address
from typing import TYPE_CHECKING

from attrs import evolve

from spale_core.errors import DataplaneError
from spale_core.interfaces import DataplaneSettings
from spale_core.model import Protocol, Service, Session, SessionState, Source
from spale_core.testing.promise import raises, same

if TYPE_CHECKING:
    from spale_core.interfaces import Dataplane

_SETTINGS = DataplaneSettings(
    spa_port=55555, rate=3, burst=3, max_grants=4, max_sources=16, max_tags=4, max_sessions=4, session_s=60
)
_SSH = Service(Protocol.TCP, 22)
_SECOND_NS = 1_000_000_000


def a_session(source: str = "192.0.2.7", source_port: int = 40000, ifindex: int = 0) -> Session:
    """Return an OPEN session that was opened after one second of the kernel's time, and used after two."""
    return Session(
        source=Source(ip_address(source), ifindex),
        service=_SSH,
        destination=ip_address("2001:db8::1" if ":" in source else "192.0.2.1"),
        source_port=source_port,
        opened_ns=_SECOND_NS,
        last_ns=2 * _SECOND_NS,
    )


class SessionContract:
    """The part of `DataplaneContract` that is about sessions."""

    def make(self, settings: DataplaneSettings) -> Dataplane:
        """Return a dataplane that is new."""
        raise NotImplementedError

    def test_a_new_one_has_no_sessions(self) -> None:
        """Nothing is tracked before a packet came."""
        with closing(self.make(_SETTINGS)) as dataplane:
            same(list(dataplane.sessions()), [], "a new dataplane has no sessions")

    def test_sessions_come_back_as_they_were_put(self) -> None:
        """Both families, an interface, both states, an adopted one; and putting again replaces."""
        closing_one = evolve(a_session("2001:db8::7"), state=SessionState.CLOSING)
        sessions = [
            a_session(),
            evolve(a_session(source_port=40001), opened_ns=0),
            a_session("fe80::7", ifindex=3),
            closing_one,
        ]
        with closing(self.make(_SETTINGS)) as dataplane:
            dataplane.put_sessions(sessions)
            same(set(dataplane.sessions()), set(sessions), "sessions() returns what was put")
            same(set(dataplane.browse_sessions()), set(sessions), "browse_sessions() returns the same")
            later = evolve(a_session(), last_ns=9 * _SECOND_NS)
            dataplane.put_sessions([later])
            same(set(dataplane.sessions()), {later, *sessions[1:]}, "the latest replaces the earlier one")

    def test_one_that_is_full_takes_all_or_none(self) -> None:
        """What does not fit is refused as a whole, and what was there stays."""
        there = [a_session(source_port=port) for port in (1, 2, 3)]
        too_many = [evolve(there[0], last_ns=9), *(a_session(source_port=port) for port in (4, 5))]
        with closing(self.make(_SETTINGS)) as dataplane:
            dataplane.put_sessions(there)
            raises(DataplaneError, lambda: dataplane.put_sessions(too_many), "a full dataplane refuses")
            same(set(dataplane.sessions()), set(there), "a refused call changes nothing")

    def test_a_change_hits_only_what_was_meant(self) -> None:
        """A session that was used meanwhile is changed; not one that was closed, restarted or removed."""
        used, closed, restarted, gone = (a_session(source_port=port) for port in (1, 2, 3, 4))
        there = [
            evolve(used, last_ns=3 * _SECOND_NS),
            evolve(closed, state=SessionState.CLOSING),
            evolve(restarted, opened_ns=5 * _SECOND_NS),
        ]
        with closing(self.make(_SETTINGS)) as dataplane:
            dataplane.put_sessions(there)
            changes = [(one, evolve(one, last_ns=9)) for one in (used, closed, restarted, gone)]
            dataplane.change_sessions(changes)
            same(set(dataplane.sessions()), {evolve(used, last_ns=9), *there[1:]}, "one change")

    def test_what_is_ended_is_gone(self) -> None:
        """But not if it was restarted since; and ending what is not there is no error."""
        ended, restarted = a_session(source_port=1), a_session(source_port=2)
        newer = evolve(restarted, opened_ns=5 * _SECOND_NS)
        with closing(self.make(_SETTINGS)) as dataplane:
            dataplane.put_sessions([evolve(ended, last_ns=9), newer])
            for _ in range(2):
                dataplane.end_sessions([ended, restarted])
                same(list(dataplane.sessions()), [newer], "end_sessions() removes exactly what it names")

    def test_counts_may_be_said_again(self) -> None:
        """The same again, other ones, or none are all good."""
        first, second = ((a_session(source).source, _SSH) for source in ("192.0.2.7", "fe80::7"))
        with closing(self.make(_SETTINGS)) as dataplane:
            for counts in ({first: 1, second: 64}, {first: 1, second: 64}, {second: 2}, {}):
                dataplane.set_session_counts(counts)
