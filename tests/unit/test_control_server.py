# SPDX-License-Identifier: MIT
"""One bounded step per turn, whoever calls and whatever they do; nobody waits for ever behind the others."""

from __future__ import annotations

import json
import os
import socket
import time
from ipaddress import ip_address

import pytest
from attrs import evolve
from control_lab import Lab
from office import HERE, SETTINGS, SSH

from spale_core.control import connection, peers, server, wire
from spale_core.errors import DataplaneError
from spale_core.model import Session

HELLO = b'{"jsonrpc":"2.0","id":1,"method":"hello"}\n'
CLIENTS = b'{"jsonrpc":"2.0","id":2,"method":"list_clients"}\n'
SESSIONS = b'{"jsonrpc":"2.0","id":3,"method":"list_sessions"}\n'


@pytest.fixture
def lab(tmp_path):
    """Return a lab."""
    made = Lab(tmp_path)
    yield made
    made.close()


@pytest.fixture
def crowd(lab):
    """Return a lab with so many clients that their list does not fit into a socket."""
    alice = SETTINGS.clients[0]
    many = tuple(evolve(alice, name=f"client-{number:05}") for number in range(4000))
    lab.desk.settings = evolve(SETTINGS, clients=many)
    return lab


def test_several_calls_at_once(lab):
    """Are answered in their order, one per turn."""
    answers = lab.ask(lab.caller(), HELLO * 3 + CLIENTS)
    assert [each["id"] for each in answers] == [1, 1, 1, 2]


def test_a_call_that_comes_byte_by_byte(lab):
    """Is one all the same."""
    caller = lab.caller()
    for number in range(len(HELLO) - 1):
        assert lab.ask(caller, HELLO[number : number + 1]) == []
    (answer,) = lab.ask(caller, b"\n")
    assert answer["id"] == 1


@pytest.mark.parametrize(
    "garbage", [b"\n", b"\xff\xfe\n", b"GET / HTTP/1.1\r\n", b"[]\n", b"[" * 8000 + b"\n"]
)
def test_garbage_is_answered_in_words(lab, garbage):
    """And the next call is answered as if there had been none."""
    caller = lab.caller()
    (answer,) = lab.ask(caller, garbage)
    assert answer["error"]["code"] in {wire.NOT_JSON, wire.NO_CALL}
    (answer,) = lab.ask(caller, HELLO)
    assert answer["result"]["protocol"] == 1


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_megabyte(lab, end):
    """In one line: no more is kept than a call may have, then its sender is told and cut off."""
    caller = lab.caller()
    answers, rest = [], b"x" * (1 << 20) + end
    while rest and None not in answers:
        try:
            rest = rest[caller.send(rest[:8192]) :]
        except OSError:
            break
        answers += lab.hear(caller)
    answers += lab.hear(caller)
    assert answers[0]["error"]["code"] == wire.NO_CALL
    assert answers[-1] is None
    assert lab.call("hello")["protocol"] == 1


def test_who_is_not_allowed_is_told_once_and_cut_off(lab, monkeypatch):
    """Neither root, nor of the daemon's user, nor of the group."""
    monkeypatch.setattr(peers, "role_of", lambda _sock, _group: None)
    (answer, end) = lab.ask(lab.caller(), b"")
    assert answer["error"]["code"] == 77
    assert end is None


def test_a_reader_reads(lab, monkeypatch):
    """And changes nothing."""
    monkeypatch.setattr(peers, "role_of", lambda _sock, _group: peers.READER)
    assert lab.call("hello")["role"] == "reader"
    assert lab.call("list_clients") != []
    for method, params in (("revoke", {"client": "alice"}), ("reload", {})):
        code, words = lab.call(method, **params)
        assert (code, words) == (77, f"only root may {method}; members of SOCKET_GROUP may read")
    assert lab.desk.tells == []


def test_a_long_list_comes_whole(crowd):
    """In pieces for us, in one line for the caller."""
    (answer,) = crowd.ask(crowd.caller(), CLIENTS)
    assert [each["name"] for each in answer["result"]] == [each.name for each in crowd.desk.settings.clients]


def test_one_step_per_turn(crowd, monkeypatch):
    """However many call at once: in a turn one of them is served, and gets one piece of the answer."""
    steps = []
    step = connection.Connection.step
    monkeypatch.setattr(connection.Connection, "step", lambda self: (steps.append(self), step(self)))
    pieces = []
    piece = connection.Production.piece
    monkeypatch.setattr(
        connection.Production, "piece", lambda self, limit: pieces.append(piece(self, limit)) or pieces[-1]
    )
    callers = [crowd.caller() for _ in range(8)]
    crowd.settle()
    for caller in callers:
        caller.send(CLIENTS)
    served = set()
    for _ in range(64):
        before = len(steps), len(pieces)
        crowd.turn()
        assert len(steps) - before[0] <= 1
        assert len(pieces) - before[1] <= 1
        served.update(steps)
    assert len(served) == 8, "each has had a turn"
    assert all(each.count(b'"name"') <= 50 for each in pieces)


def test_a_step_reads_a_bounded_piece(lab):
    """Whatever is there to be read."""
    caller = lab.caller()
    caller.send(b"x" * 60000)
    lab.turn()
    (one,) = lab.server._connections
    lab.turn()
    assert len(one._received) == connection.READ_AT_ONCE
    assert one.is_open


def test_one_who_does_not_read(crowd, monkeypatch):
    """Gets what fits into the socket and a piece; others are served, and after a while it is cut off."""
    caller = crowd.caller()
    caller.send(CLIENTS * 50)
    crowd.settle()
    (one,) = crowd.server._connections
    assert one.is_behind
    assert len(one._output) <= connection.SENT_AT_ONCE
    assert crowd.call("hello")["protocol"] == 1
    crowd.server.tick()
    assert one.is_open
    now_s = time.monotonic()
    monkeypatch.setattr(server.time, "monotonic", lambda: now_s + server.PATIENCE_S + 1)
    crowd.server.tick()
    assert not one.is_open
    crowd.settle()


def test_one_who_stalls_is_kept_until_there_is_no_room(lab):
    """Half a line costs nothing; of many, those who have said nothing for longest go first."""
    stalled = lab.caller()
    assert lab.ask(stalled, HELLO[:20]) == []
    others = [lab.caller() for _ in range(server.MAX_CONNECTIONS - 1)]
    lab.settle()
    assert len(lab.server._connections) == server.MAX_CONNECTIONS
    for other in others:
        assert lab.ask(other, HELLO)[0]["id"] == 1
    newcomer = lab.caller()
    assert lab.ask(newcomer, HELLO)[0]["id"] == 1
    assert len(lab.server._connections) == server.MAX_CONNECTIONS
    assert lab.hear(stalled) == [None]
    assert lab.ask(others[0], HELLO)[0]["id"] == 1


def test_two_hundred_callers(lab):
    """Never more than there is room for; the last ones are served."""
    callers = [lab.caller() for _ in range(100)]
    lab.settle()
    callers += [lab.caller() for _ in range(100)]
    lab.settle()
    assert len(lab.server._connections) == server.MAX_CONNECTIONS
    assert lab.ask(callers[-1], HELLO)[0]["id"] == 1
    assert lab.hear(callers[0]) == [None]


def test_busy_ones_are_not_cut_off_for_others(lab):
    """All wait for a reload: a further one is told so. But an admin goes before those who may only read."""
    callers = [lab.caller() for _ in range(server.MAX_CONNECTIONS)]
    for caller in callers:
        assert lab.ask(caller, b'{"jsonrpc":"2.0","id":1,"method":"reload"}\n') == []
    (answer, end) = lab.ask(lab.caller(), b"")
    assert (answer["error"]["code"], end) == (69, None)
    for one in lab.server._connections:
        one.role = peers.READER
    assert lab.ask(lab.caller(), HELLO)[0]["id"] == 1


def test_a_dataplane_that_fails(lab):
    """Before anything was said it is said; in the middle the line is cut."""

    def fails():
        yield from []
        raise DataplaneError("the map is gone")

    lab.office.dataplane.browse_sessions = fails
    assert lab.call("list_sessions") == (69, "the map is gone")
    assert lab.call("list_ports") == (69, "the map is gone")

    session = Session(HERE, SSH, ip_address("192.0.2.1"), 40000, 1, 1)

    def fails_later():
        for _ in range(100):
            yield session
        raise DataplaneError("the map is gone")

    lab.office.dataplane.browse_sessions = fails_later
    caller = lab.caller()
    caller.send(SESSIONS)
    lab.settle()
    said = caller.recv(1 << 20)
    assert b"\n" not in said
    assert caller.recv(1) == b""


def test_one_who_leaves_in_the_middle(crowd):
    """Leaves nothing behind."""
    caller = crowd.caller()
    caller.send(CLIENTS)
    for _ in range(4):
        crowd.turn()
    caller.close()
    crowd.settle()
    crowd.server.tick()
    assert crowd.server._connections == []


def test_no_descriptor_left(lab):
    """Then it does not look all the time, but once a second."""

    class Deaf:
        """A socket that cannot accept."""

        def accept(self):
            raise OSError(24, os.strerror(24))

        def fileno(self):
            return listening.fileno()

    listening = lab.server._listening
    lab.caller()
    lab.server._listening = Deaf()
    lab.turn()
    assert lab.turn() == 0
    lab.server._listening = listening
    lab.server.tick()
    assert lab.turn() == 1


def test_nothing_is_left_open(lab):
    """After the end all callers are cut off, and the selector watches nothing of ours."""
    caller = lab.caller()
    lab.ask(caller, HELLO)
    lab.server.close()
    assert caller.recv(1) == b""
    assert lab.selector.get_map() == {}
    lab.server.close()


def test_json_is_the_documented_form(lab):
    """An answer is an object with jsonrpc, id, and result or error."""
    (good, bad) = lab.ask(lab.caller(), HELLO + b'{"jsonrpc":"2.0","id":"a","method":"x"}\n')
    assert good.keys() == {"jsonrpc", "id", "result"}
    assert bad.keys() == {"jsonrpc", "id", "error"}
    assert bad["error"].keys() == {"code", "message"}
    assert json.loads(json.dumps(good)) == good


def test_who_is_who():
    """By the kernel's word about the process that connected."""
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert peers.role_of(ours, None) == peers.ADMIN
        assert peers._groups(ours) == set(os.getgroups())
