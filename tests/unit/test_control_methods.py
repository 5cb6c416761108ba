# SPDX-License-Identifier: MIT
"""What each method answers, by a desk of paper; times are those of its clock."""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_network

import pytest
from attrs import evolve
from control_lab import Lab
from office import HERE, SETTINGS, SSH, THERE, WEB

from spale_core.control import facts, rows
from spale_core.control.methods import METHODS
from spale_core.errors import DataError, UnavailableError
from spale_core.model import NEVER_NS, Counter, Grant, Reason, Session, SessionState, Source
from spale_core.reload_events import Reloaded

LOCAL = Source(ip_address("fe80::7"), 3)
SECOND_NS = 10**9


@pytest.fixture
def lab(tmp_path):
    """Return a lab."""
    made = Lab(tmp_path)
    yield made
    made.close()


def a_session(lab, source=HERE, **changes):
    """Return a session that was opened just now."""
    now_ns = lab.desk.now().monotonic_ns
    good = Session(source, SSH, ip_address("192.0.2.1"), 40000, now_ns, now_ns)
    return evolve(good, **changes)


def test_hello(lab):
    """Protocol, version, process and what the caller may do."""
    found = lab.call("hello")
    assert found.keys() == rows.Hello.__annotations__.keys()
    assert (found["protocol"], found["version"], found["role"]) == (1, "1.2.3", "admin")


def test_list_authorized(lab):
    """Each client's share, how it goes on; what is over is not shown before the sweep that ends it."""
    assert lab.call("list_authorized") == []
    lab.office.judge(lab.office.claim(), lab.office.claim(client=1))
    lab.office.clock.advance(5.5)
    found = lab.call("list_authorized")
    assert [(each["client"], each["service"]) for each in found] == [
        ("alice", "22/tcp"),
        ("bob", "22/tcp"),
        ("alice", "443/tcp"),
    ]
    assert found[0] == {
        "client": "alice",
        "source": str(HERE),
        "service": "22/tcp",
        "state": "live",
        "idle_s": 60,
        "grace_s": 300,
        "used_s_ago": 5,
        "idle_left_s": 55,
        "grace_left_s": 295,
        "ends_in_s": 3595,
    }
    lab.office.clock.advance(60)
    found = lab.call("list_authorized")
    assert [(each["client"], each["state"], each["idle_left_s"]) for each in found] == [
        ("alice", "grace", 0)
    ] * 2


def test_what_never_ends_and_where_a_link_is(lab):
    """None, and the interface's name; an entry of nobody's was made by hand."""
    grant = Grant(LOCAL, SSH, lab.desk.now().monotonic_ns, NEVER_NS, NEVER_NS, NEVER_NS)
    found = rows.authorized("", grant, lab.desk.now(), lab.desk.interfaces)
    assert (found["client"], found["source"]) == (None, "fe80::7%eth0")
    for key in ("idle_s", "grace_s", "idle_left_s", "grace_left_s", "ends_in_s"):
        assert found[key] is None
    assert rows.source_text(LOCAL, {}) == "fe80::7%3"


def test_list_allowlist(lab):
    """The configuration's prefixes."""
    lab.desk.settings = evolve(SETTINGS, always_allow=(ip_network("10.0.0.0/8"), ip_network("::/0")))
    assert lab.call("list_allowlist") == [
        {"prefix": "10.0.0.0/8", "origin": "configuration"},
        {"prefix": "::/0", "origin": "configuration"},
    ]


def test_list_ports(lab):
    """Who may, and what there is."""
    lab.office.judge(lab.office.claim(), lab.office.claim(client=1), lab.office.claim(source=THERE))
    lab.office.dataplane._room = 4
    lab.office.dataplane.put_sessions([a_session(lab), a_session(lab, source_port=2)])
    assert lab.call("list_ports") == [
        {"service": "22/tcp", "clients": 2, "grants": 2, "sessions": 2},
        {"service": "443/tcp", "clients": 1, "grants": 2, "sessions": 0},
    ]


def test_list_ratelimit(lab):
    """What is left of the burst; a source that has all of it is left out; of IPv6 it is the site."""
    now_ns = lab.desk.now().monotonic_ns
    full = {HERE: now_ns + 1, THERE: now_ns, Source(ip_address("2001:db8::")): now_ns + SECOND_NS}
    lab.office.dataplane.knocked = full
    assert lab.call("list_ratelimit") == {
        "rate": 3,
        "burst": 3,
        "sources": [
            {"source": str(HERE), "tokens": 2},
            {"source": "2001:db8::/64", "tokens": 0},
        ],
    }
    lab.desk.settings = evolve(SETTINGS, rate=0)
    assert lab.call("list_ratelimit") == {"rate": 0, "burst": 3, "sources": []}


def test_list_sessions(lab):
    """Whose they are, and since when; an adopted one is nobody's, since nobody knows."""
    lab.office.judge(lab.office.claim(), lab.office.claim(client=1))
    lab.office.clock.advance(1)
    lab.office.dataplane._room = 4
    adopted = a_session(lab, THERE, opened_ns=0, state=SessionState.CLOSING)
    lab.office.dataplane.put_sessions([a_session(lab), adopted])
    lab.office.clock.advance(2.5)
    first, second = lab.call("list_sessions")
    assert first == {
        "source": str(HERE),
        "source_port": 40000,
        "destination": "192.0.2.1",
        "service": "22/tcp",
        "state": "open",
        "opened_s_ago": 2,
        "used_s_ago": 2,
        "owners": ["alice", "bob"],
    }
    assert (second["state"], second["opened_s_ago"], second["owners"]) == ("closing", None, [])


def test_list_clients(lab):
    """As they are configured, what they hold and when they came."""
    lab.office.judge(lab.office.claim())
    lab.desk.last_knocks["alice"] = 5
    alice, bob = lab.call("list_clients")
    assert alice.keys() == rows.Client.__annotations__.keys()
    assert (alice["services"], alice["holds"], alice["last_knock_unix_ms"]) == (["22/tcp", "443/tcp"], 1, 5)
    assert (bob["holds"], bob["last_knock_unix_ms"], bob["max_s"]) == (0, None, 3600)


def test_list_dropped(lab):
    """The most frequent first; what was let in is none."""
    lab.desk.counters = {
        Reason.BAD_MAC: Counter(2, None),
        Reason.NO_GRANT: Counter(3, LOCAL),
        Reason.UNTRACKED: Counter(9, HERE),
    }
    assert lab.call("list_dropped") == [
        {"reason": "no_grant", "count": 3, "last_source": "fe80::7%eth0"},
        {"reason": "bad_mac", "count": 2, "last_source": None},
    ]


def test_revoke(lab):
    """What has ended is counted; a name that is none is said to be."""
    lab.office.judge(lab.office.claim(), lab.office.claim(client=1))
    assert lab.call("revoke", client="alice") == {"ended": 2, "sessions": 0}
    assert [each["client"] for each in lab.call("list_authorized")] == ["bob"]
    code, words = lab.call("revoke", client="carol")
    assert (code, "no client 'carol'" in words) == (DataError.exit_code, True)


def test_reload_is_answered_when_it_has_ended(lab):
    """Until then others are served."""
    caller = lab.caller()
    line = json.dumps({"jsonrpc": "2.0", "id": "r", "method": "reload"}).encode() + b"\n"
    assert lab.ask(caller, line) == []
    assert lab.call("hello")["protocol"] == 1
    (tell,) = lab.desk.tells
    tell(
        Reloaded(services=(SSH,), clients=2, grants=1, cut=0, ended=3, sessions=4, listener_pid=9, took_s=0.1)
    )
    (answer,) = lab.hear(caller)
    assert answer["id"] == "r"
    assert (answer["result"]["services"], answer["result"]["ended"]) == (["22/tcp"], 3)
    tell(UnavailableError("twice"))
    assert lab.hear(caller) == []
    assert lab.ask(caller, line) == []
    lab.desk.tells[1](UnavailableError("no way"))
    (answer,) = lab.hear(caller)
    assert answer["error"] == {"code": 69, "message": "no way"}


def test_one_who_asked_for_a_reload_and_left(lab):
    """Harms nobody when it ends."""
    caller = lab.caller()
    lab.ask(caller, b'{"jsonrpc":"2.0","id":1,"method":"reload"}\n')
    caller.close()
    lab.settle()
    lab.desk.tells[0](UnavailableError("no way"))
    lab.settle()
    assert lab.call("hello")["protocol"] == 1


def test_facts(lab):
    """All that decides about a packet of this source, and nothing about others."""
    lab.office.judge(lab.office.claim(), lab.office.claim(client=1, source=THERE))
    lab.office.dataplane._room = 4
    lab.office.dataplane.put_sessions([a_session(lab), a_session(lab, THERE)])
    found = lab.call("facts", source=str(HERE), service="22/tcp")
    assert found.keys() == facts.Facts.__annotations__.keys()
    assert found["settings"].keys() == facts.KernelSettings.__annotations__.keys()
    assert (found["source"], found["ifindex"], found["service"]) == (str(HERE), 0, "22/tcp")
    assert [each["service"] for each in found["grants"]] == ["22/tcp", "443/tcp"]
    assert found["grants"][0].keys() == facts.KernelGrant.__annotations__.keys()
    assert [each["client"] for each in found["shares"]] == ["alice", "alice"]
    (session,) = found["sessions"]
    assert session.keys() == facts.KernelSession.__annotations__.keys()
    assert session["owners"] == ["alice"]
    assert found["may"] == ["alice", "bob"]


def test_who_may_knock_for_it(lab):
    """Not who is expired, who may not have the service, or may not come from there."""
    alice, bob = SETTINGS.clients
    late = evolve(alice, expires_unix_ms=lab.desk.now().unix_ms - 1)
    lab.desk.settings = evolve(SETTINGS, clients=(late, bob))
    assert lab.call("facts", source="192.0.2.7", service="22/tcp")["may"] == ["bob"]
    assert lab.call("facts", source="192.0.2.7", service="443/tcp")["may"] == []
    lab.desk.settings = evolve(SETTINGS, clients=(evolve(bob, sources=(ip_network("10.0.0.0/8"),)),))
    assert lab.call("facts", source="192.0.2.7", service="22/tcp")["may"] == []
    assert lab.call("facts", source="10.0.0.1", service="22/tcp")["may"] == ["bob"]


def test_facts_of_a_link(lab):
    """A link-local source needs its interface, and no other has one."""
    found = lab.call("facts", source="fe80::7%eth0", service=str(WEB))
    assert (found["source"], found["ifindex"]) == ("fe80::7%eth0", 3)
    for wrong in ("fe80::7", "fe80::7%eth9", "192.0.2.7%eth0"):
        code, words = lab.call("facts", source=wrong, service=str(WEB))
        assert (code, "source: " in words) == (-32602, True)


@pytest.mark.parametrize(
    ("method", "params", "words"),
    [
        ("revoke", {}, "client is missing"),
        ("revoke", {"client": None}, "client is missing"),
        ("revoke", {"client": 7}, "client: write a text"),
        ("revoke", {"client": "x" * 257}, "client: write a text"),
        ("revoke", {"client": "a", "force": 1}, "'force' is no parameter; there are: client"),
        ("hello", {"a": 1}, "'a' is no parameter; there are: none"),
        ("facts", {"source": "nowhere", "service": "22/tcp"}, "is no address"),
        ("facts", {"source": "192.0.2.7", "service": "22"}, "is not one service"),
        ("facts", {"source": "192.0.2.7", "service": "1-9/tcp"}, "is not one service"),
        ("facts", {"source": "192.0.2.7", "service": "22/sctp"}, "protocol that is none"),
    ],
)
def test_wrong_parameters(lab, method, params, words):
    """Each is named, with what would be right."""
    code, said = lab.call(method, **params)
    assert code == -32602
    assert said.startswith(f"{method}: ")
    assert words in said


def test_an_unknown_method(lab):
    """Also one that is not yet there, and one with a long name."""
    for name in ("watch", "metrics", "x" * 5000):
        code, words = lab.call(name)
        assert code == -32601
        assert name[:64] in words
        assert len(words) < 200


def test_who_only_reads_cannot_change_anything():
    """The table says which methods change something."""
    assert {name for name, method in METHODS.items() if not method.reading} >= {"revoke", "reload"}
    assert all(METHODS[name].reading for name in METHODS if name.startswith(("list_", "hello", "status")))
