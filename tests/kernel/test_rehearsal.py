# SPDX-License-Identifier: MIT
"""A rehearsal says what the packet table says, and leaves everything as it was."""

from __future__ import annotations

import os
from contextlib import closing
from ipaddress import ip_address, ip_network

import packets as p
import pytest
import rows_grants
import rows_sessions
import rows_sources
import table
from attrs import evolve
from lab import DOORS, doors, settings
from machine import SECOND, Entry, now_ns
from rig import Rig

import spale_tc.attach
import spale_xdp.attach
from spale_bpf import _abi, codec, libbpf
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
from spale_core.plugins import Plugins

pytestmark = pytest.mark.kernel

KINDS = {PacketKind.SYN: p.SYN, PacketKind.ACK: p.ACK}
PORTS = (table.TCP_PORT, table.UDP_PORT, table.BOTH_PORT)


def plain_packets():
    """Yield the frames of the table that a rehearsal knows, with the question that stands for each."""
    for family, address in ((4, p.CLIENT4), (6, p.CLIENT6), (4, p.OTHER4), (6, p.OTHER6)):
        source, build = Source(ip_address(address)), p.ipv4 if family == 4 else p.ipv6
        ethertype = p.ETH_IPV4 if family == 4 else p.ETH_IPV6
        for port in PORTS:
            for kind, flags in KINDS.items():
                packet = build(p.tcp(port, flags), p.TCP, source=address)
                yield p.ethernet(packet, ethertype), (source, Service(Protocol.TCP, port), kind)
            for payload in (b"", b"x"):
                packet = build(p.udp(port, payload), p.UDP, source=address)
                yield p.ethernet(packet, ethertype), (source, Service(Protocol.UDP, port), PacketKind.UDP)


QUESTIONS = dict(plain_packets())
ROWS = [
    row
    for number, row in enumerate((*rows_grants.ROWS, *rows_sessions.ROWS, *rows_sources.ROWS))
    if row.frame in QUESTIONS and not row.first and not row.name.startswith("session-room")
    # Each loads a program, so few of the second family: the policy is one.
    if "ipv6" not in row.name or number % 8 == 0
]
"""Not those about room: how many sessions are held is said beside the map there."""
ENTRIES = {"tc": Entry.TC_ETH, "xdp": Entry.XDP}


def asked(loaded, source, service):
    """Return the settings and the question that are in a rig's maps."""
    value = _abi.Settings(*_abi.SETTINGS.unpack(loaded.get("spale_settings", codec.index(0))))
    prefixes = [_prefix(key) for key in loaded.items("spale_allow")] if value.flags & 2 else []
    services = {
        Service(protocol, port)
        for port in PORTS
        for protocol, bit in ((Protocol.TCP, 1), (Protocol.UDP, 2))
        if int.from_bytes(loaded.get("spale_services", codec.index(port)), "little") & bit
    }
    grants = [codec.grant(*item) for item in loaded.items("spale_grants").items()]
    sessions = [codec.session(*item) for item in loaded.items("spale_sessions").items()]
    question = Rehearsal(
        source, service, frozenset(services), tuple(prefixes), tuple(grants), tuple(sessions)
    )
    return settings(spa_port=table.SPA_PORT, session_s=value.session_ns // SECOND), question


def _prefix(key):
    bits, family, packed = _abi.ALLOW_KEY.unpack(key)
    bits -= _abi.ALLOW_FAMILY_BITS
    if family == 4:
        return ip_network((packed[12:], bits - 96), strict=False)
    return ip_network((packed, bits), strict=False)


def play(name, how, question):
    """Return the answers of the dataplane `name`, by kind and session."""
    answers = Plugins([name]).dataplane(name).rehearse(how, question)
    kinds = (
        [PacketKind.UDP] if question.service.protocol is Protocol.UDP else [PacketKind.SYN, PacketKind.ACK]
    )
    assert sorted({answer.kind.value for answer in answers}) == sorted(kind.value for kind in kinds)
    assert answers[0].kind is kinds[0]
    return {(answer.kind, answer.session): answer for answer in answers}


@pytest.fixture(scope="module")
def rigs():
    """Return the programs that the rows run through."""
    with Rig(Entry.TC_ETH) as tc, Rig(Entry.XDP) as xdp:
        yield {"tc": tc, "xdp": xdp}


@pytest.mark.parametrize(
    ("name", "row"),
    # The policy is one; each row goes through one of the two, in turn, as each answer loads a program.
    [
        pytest.param(list(ENTRIES)[number % 2], row, id=f"{list(ENTRIES)[number % 2]}-{row.name}")
        for number, row in enumerate(ROWS)
    ],
)
def test_the_answer_is_that_of_the_packet_table(rigs, name, row):
    """The same packet with the same grants, sessions and prefixes: one verdict, one reason."""
    loaded = rigs[name]
    table.prepare(loaded)
    for change in row.state:
        change(loaded)
    source, service, kind = QUESTIONS[row.frame]
    how, question = asked(loaded, source, service)
    here = next((each for each in question.sessions if _is_of(each, source, service)), None)
    answers = play(name, how, question)
    outcome = loaded.run(row.frame)
    answer = answers.get((kind, here if kind is PacketKind.ACK else None))
    if answer is None:  # the source has another session there, and the answer is about that one
        assert "session-other-" in row.name
        return
    counted = {codec.counted()[number] for number in outcome.counted}
    assert (answer.passed, {answer.reason} - {None}) == (outcome.passed, counted)
    assert (answer.by is not None) == answer.passed


def _is_of(session, source, service):
    server = ip_address(p.SERVER4 if source.address.version == 4 else p.SERVER6)
    return session.connection == (source, service, server, p.SOURCE_PORT)


SSH = Service(Protocol.TCP, 22)
WIREGUARD = Service(Protocol.UDP, 51820)
GUEST = Source(ip_address("198.51.100.7"))


def a_grant(source=GUEST, service=SSH, age_s=1):
    """Return a grant that was used so long ago; idle is 60 s, grace 300 s."""
    last_ns = now_ns() - age_s * SECOND
    return Grant(source, service, last_ns, 60 * SECOND, 300 * SECOND, last_ns + 3600 * SECOND)


def a_session(source=GUEST, source_port=40000, **changes):
    """Return a session that was used a second ago."""
    here = ip_address("192.0.2.1" if source.address.version == 4 else "fe80::1")
    last_ns = now_ns() - SECOND
    return evolve(Session(source, SSH, here, source_port, last_ns - 4 * SECOND, last_ns), **changes)


def a_question(**changes):
    """Return a question about a source at ssh that has nothing."""
    return evolve(Rehearsal(GUEST, SSH, frozenset({SSH, WIREGUARD})), **changes)


@pytest.mark.parametrize("name", ENTRIES)
def test_a_link_local_source_belongs_to_its_interface(name):
    """The same address on another interface is somebody else, in grants and in sessions."""
    here, elsewhere = (Source(ip_address("fe80::7"), ifindex) for ifindex in (3, 4))
    question = a_question(
        source=here,
        grants=(a_grant(here, age_s=100), a_grant(elsewhere)),
        sessions=(known := a_session(here), a_session(elsewhere)),
    )
    how = settings(session_s=60)
    answers = play(name, how, question)
    assert {answer.by for answer in answers.values()} == {Admission.GRACE, Admission.SESSION}
    assert (PacketKind.ACK, known) in answers
    stranger = play(name, how, evolve(question, source=Source(ip_address("fe80::7"), 5)))
    assert {answer.reason for answer in stranger.values()} == {Reason.NO_GRANT}


@pytest.mark.parametrize("name", ENTRIES)
def test_as_many_sessions_as_there_may_be(name):
    """A further connection gets in by its grant and is not tracked; each session gets its answer."""
    sessions = tuple(a_session(source_port=65535 - number) for number in range(64))
    answers = play(name, settings(session_s=60), a_question(grants=(a_grant(),), sessions=sessions))
    assert answers[PacketKind.SYN, None].reason is Reason.UNTRACKED
    assert answers[PacketKind.SYN, None].by is Admission.LIVE
    assert {session for _, session in answers} == {None, *sessions}


def dump(fds):
    """Return all that is in maps, those of each CPU too."""
    found = {}
    for name, fd in fds.items():
        shape = _abi.MAPS[name]
        read = libbpf.map_lookup_percpu if shape.kind == 6 else libbpf.map_lookup
        keys = libbpf.map_keys(fd, shape.key_size)
        found[name] = {key: read(fd, key, shape.value_size) for key in keys}
    return found


@pytest.mark.parametrize(("name", "make"), [("tc", spale_tc.attach.make), ("xdp", spale_xdp.attach.make)])
def test_asking_changes_nothing(name, make):
    """Of a dataplane that is attached no map changes, nor what hangs on the interface; nothing stays open."""
    how = settings(session_s=60, max_sessions=8)
    sessions = (a_session(), a_session(source_port=40001, state=SessionState.CLOSING))
    question = a_question(
        grants=(a_grant(),), sessions=sessions, always_allow=(ip_network("203.0.113.0/24"),)
    )
    with doors(), closing(make(how)) as running:
        running.set_services(question.services)
        running.set_always_allow(question.always_allow)
        running.allow(question.grants)
        running.put_sessions(sessions)
        running.set_session_counts({(GUEST, SSH): 2})
        running.attach([DOORS[0]])
        # In the scratch map is what the last packet was, and these interfaces discover their neighbours.
        fds = {each: running._object.map_fd(each) for each in _abi.MAPS if each != "spale_scratch"}
        before, held = dump(fds), os.listdir("/proc/self/fd")  # noqa: PTH208 - numbers, not paths
        for service in (SSH, WIREGUARD):
            for source in (GUEST, Source(ip_address("203.0.113.9")), Source(ip_address("2001:db8::9"))):
                play(name, how, evolve(question, source=source, service=service))
        assert dump(fds) == before
        assert len(os.listdir("/proc/self/fd")) == len(held)  # noqa: PTH208 - the same
        assert list(running.ensure()) == []
        running.detach()
    assert before["spale_grants"]
    assert len(before["spale_sessions"]) == 2


@pytest.mark.parametrize("name", ENTRIES)
def test_where_nothing_is_dropped(name):
    """LOG_ONLY: it says why the packet would have been, and that it passes by that alone."""
    for service in (SSH, WIREGUARD):
        answers = play(name, settings(log_only=True), a_question(service=service))
        assert {(each.passed, each.by, each.reason) for each in answers.values()} == {
            (True, Admission.LOG_ONLY, Reason.NO_GRANT)
        }


@pytest.mark.parametrize("name", ENTRIES)
def test_the_port_of_the_knocks(name):
    """What is no knock is dropped there; TCP to the same number is nobody's business."""
    udp = play(name, settings(), a_question(service=Service(Protocol.UDP, 55555)))
    assert [each.reason for each in udp.values()] == [Reason.SPA_LENGTH]
    tcp = play(name, settings(), a_question(service=Service(Protocol.TCP, 55555)))
    assert {each.by for each in tcp.values()} == {Admission.UNPROTECTED}
