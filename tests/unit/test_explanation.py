# SPDX-License-Identifier: MIT
"""`spale explain`: what is asked of the rehearsal, and the words for each outcome."""

from __future__ import annotations

import time
from ipaddress import ip_address, ip_network

import pytest
from switchboard import facts, share

from spale_core.cli.explanation import Explained, as_json, as_text, rehearsal, settings
from spale_core.model import (
    Admission,
    PacketKind,
    Protocol,
    Reason,
    Rehearsed,
    Service,
    Session,
    SessionState,
    Source,
)

SSH = Service(Protocol.TCP, 22)
ANNAS = "198.51.100.7"
SECOND = 10**9


def kernel_session(**changes):
    """Return a session as the daemon's facts have it."""
    now_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    found = {
        "service": "22/tcp",
        "source_port": 50122,
        "destination": "203.0.113.9",
        "opened_ns": now_ns - 250 * SECOND,
        "last_ns": now_ns,
        "state": "open",
        "owners": ["anna", None],
    }
    return found | changes


def session_of(found):
    """Return the same as the rehearsal has it."""
    (session,) = rehearsal(facts(sessions=[found])).sessions
    return session


def said(found, *packets):
    """Return the lines for these outcomes, but for the first, without their indents."""
    lines = list(as_text([Explained(found, packets)]))
    assert lines[0] == f"from {found['source']} to {found['service']}:"
    return [line.strip() for line in lines[1:]]


def passed(by, kind=PacketKind.SYN, reason=None, session=None):
    """Return an outcome."""
    return Rehearsed(kind, passed=True, by=by, reason=reason, session=session)


def dropped(reason, kind=PacketKind.SYN):
    """Return an outcome."""
    return Rehearsed(kind, passed=False, by=None, reason=reason)


def test_the_question_has_everything():
    """Times as the kernel has them, sessions of all services, prefixes and services."""
    found = facts(sessions=[kernel_session(service="443/tcp", state="closing", opened_ns=0)])
    asked = rehearsal(found)
    assert (asked.source, asked.service) == (Source(ip_address(ANNAS)), SSH)
    assert asked.services == {SSH, Service(Protocol.TCP, 443)}
    assert asked.always_allow == (ip_network("10.0.0.0/8"),)
    (grant,) = asked.grants
    (session,) = asked.sessions
    wanted = found["grants"][0]
    assert (grant.last_ns, grant.idle_ns) == (wanted["last_ns"], wanted["idle_ns"])
    assert (grant.grace_ns, grant.end_ns) == (wanted["grace_ns"], wanted["end_ns"])
    assert (session.service.port, session.opened_ns, session.state) == (443, 0, SessionState.CLOSING)
    assert isinstance(session, Session)


def test_a_link_local_source_keeps_its_interface():
    """Its number is what the kernel knows it by."""
    asked = rehearsal(facts("fe80::7%eth0", ifindex=3))
    assert asked.source == Source(ip_address("fe80::7"), 3)


def test_the_settings_are_the_daemons():
    """All that decides about a packet."""
    made = settings(facts())
    assert (made.spa_port, made.rate, made.burst, made.session_s) == (55555, 3, 3, 86400)
    assert (made.log_only, made.xdp_mode, made.loader) == (False, "auto", "libbpf")


@pytest.mark.parametrize(
    ("found", "packet", "lines"),
    [
        (
            facts(),
            passed(Admission.LIVE),
            [
                "a new connection: pass",
                "by a grant that is live",
                "granted to anna: live, idle in 45 s, ends in 11 h in any case",
            ],
        ),
        (
            facts(shares=[share(None, ANNAS, "22/tcp", 90, None), share("bob", ANNAS, "443/tcp", 1, 5)]),
            passed(Admission.GRACE),
            [
                "a new connection: pass",
                "by a grant in grace, which it makes live again",
                "granted by hand: in grace, over in 3 min",
            ],
        ),
        (
            facts("10.1.2.3"),
            passed(Admission.ALWAYS_ALLOWED, PacketKind.UDP),
            ["a packet: pass", "its source needs no knock", "10.0.0.0/8 (configuration)"],
        ),
        (
            facts("10.1.2.3", "80/tcp"),
            passed(Admission.UNPROTECTED),
            [
                "a new connection: pass",
                "it is not among the protected ports, so nothing of spale judges it",
            ],
        ),
        (
            facts("192.0.2.1"),
            passed(Admission.LOG_ONLY, reason=Reason.NO_GRANT),
            [
                "a new connection: pass",
                "only because nothing is dropped (LOG_ONLY)",
                "no_grant: has no grant, nor a session",
                "who could open it with a knock: anna, bob",
            ],
        ),
        (
            facts("192.0.2.1", may=[]),
            dropped(Reason.NO_GRANT),
            [
                "a new connection: DROP",
                "no_grant: has no grant, nor a session",
                "no client may open it from there",
            ],
        ),
        (
            facts("192.0.2.1"),
            dropped(Reason.NO_GRANT, PacketKind.ACK),
            ["a packet of a connection that is not known: DROP", "no_grant: has no grant, nor a session"],
        ),
        (
            facts(),
            dropped(Reason.GRANT_GRACE, PacketKind.ACK),
            [
                "a packet of a connection that is not known: DROP",
                "grant_grace: has a grant in GRACE, is no new connection, and has no session",
                "granted to anna: live, idle in 45 s, ends in 11 h in any case",
                "a new connection would be let in, and makes the grant live again",
            ],
        ),
    ],
)
def test_the_words(found, packet, lines):
    """The verdict, what decided, and whose or which."""
    assert said(found, packet) == lines


def test_sessions():
    """Which connection, whose, and how old; of one that was adopted nobody knows."""
    of_anna = kernel_session()
    adopted = kernel_session(source_port=50123, opened_ns=0, owners=[], state="closing")
    found = facts(sessions=[of_anna, adopted])
    packets = [
        passed(Admission.SESSION, PacketKind.ACK, session=session_of(each)) for each in (of_anna, adopted)
    ]
    assert said(found, *packets) == [
        "the open connection from port 50122 to 203.0.113.9: pass",
        "by its session, with or without a grant",
        "of anna, (manual), opened 4 min ago",
        "the closing connection from port 50123 to 203.0.113.9: pass",
        "by its session, with or without a grant",
        "of (nobody), adopted",
    ]


def test_many_clients_are_not_all_named():
    """The daemon names ten."""
    names = [f"client{number}" for number in range(10)]
    lines = said(facts("192.0.2.1", may=names), dropped(Reason.NO_GRANT))
    assert " ".join(lines).endswith("client8, client9 and perhaps others")


def test_as_json():
    """The keys of docs/operations.md, for each protocol."""
    session = session_of(kernel_session())
    both = [
        Explained(facts(), [passed(Admission.SESSION, PacketKind.ACK, session=session)]),
        Explained(facts("192.0.2.1", "22/udp"), [dropped(Reason.NO_GRANT, PacketKind.UDP)]),
    ]
    found = as_json(both)
    assert (found["source"], found["dataplane"], found["log_only"]) == (ANNAS, "tc", False)
    first, second = found["services"]
    assert first.keys() == {"service", "packets", "prefixes", "shares", "may"}
    assert [share["client"] for share in first["shares"]] == ["anna"]
    assert first["packets"] == [
        {
            "packet": "ack",
            "source_port": 50122,
            "destination": "203.0.113.9",
            "verdict": "pass",
            "by": "session",
            "reason": None,
        }
    ]
    assert second["packets"] == [
        {
            "packet": "udp",
            "source_port": None,
            "destination": None,
            "verdict": "drop",
            "by": None,
            "reason": "no_grant",
        }
    ]
