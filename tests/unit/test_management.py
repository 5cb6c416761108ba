# SPDX-License-Identifier: MIT
"""The management socket of a real daemon: who may do what, and that nobody at it can harm what it is for."""

from __future__ import annotations

import os
import signal
import socket
import stat
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from impostor import as_user
from paper_house import opened

from spale_core.control.client import Client
from spale_core.demo.poll import until
from spale_core.errors import ConfigError, DataError, UnavailableError

pytestmark = pytest.mark.kernel

GROUP = "users"
MEMBERS = 100
STRANGER, OTHERS = 65534, 65534
HELLO = b'{"jsonrpc":"2.0","id":1,"method":"hello"}\n'


@pytest.fixture
def stack():
    """Return what closes everything at the end."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def house(tmp_path):
    """Return a house."""
    with opened(tmp_path) as made:
        yield made


@pytest.fixture
def lobby():
    """Return a folder that everybody may enter."""
    with tempfile.TemporaryDirectory(prefix="spale-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def path_of(house):
    """Return where the house's socket is."""
    return house.folder / "spale.sock"


def ask(path, method, **params):
    """Return the answer of a daemon."""
    with Client.connect(path) as client:
        return client.call(method, **params)


def knock_is_granted(house):
    """Assert that a knock is granted."""
    since = len(house.log)
    house.send(house.seal())
    house.line("granted ", since=since)


def test_it_is_roots_and_gone_after_the_end(house):
    """While the daemon runs; then nothing is left of it, nor of its lock."""
    house.start()
    listener = house.ready()
    status = path_of(house).lstat()
    assert stat.S_ISSOCK(status.st_mode)
    assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o600, 0)
    found = ask(path_of(house), "status")
    assert (found["pid"], found["listener_pid"]) == (house.daemon.pid, listener)
    assert found["socket"] == str(path_of(house))
    house.stop()
    assert list(house.folder.glob("spale.sock*")) == []
    with pytest.raises(UnavailableError, match="no daemon is running"):
        ask(path_of(house), "hello")


def test_who_may_do_what(house, lobby):
    """Root everything, members of the group may read, others nothing, by groups of either kind."""
    path = lobby / "spale.sock"
    house.start(f"socket={path}", f"socket_group={GROUP}")
    house.ready()
    assert stat.S_IMODE(path.lstat().st_mode) == 0o660
    assert path.stat().st_gid == MEMBERS
    assert ask(path, "hello")["role"] == "admin"
    for groups in ([MEMBERS], [OTHERS, MEMBERS], [OTHERS, *range(2000, 2100), MEMBERS]):
        assert as_user(STRANGER, groups, lambda: ask(path, "hello"))["role"] == "reader"
        assert as_user(STRANGER, groups, lambda: ask(path, "list_clients"))[0]["name"] == "alice"
        refused = as_user(STRANGER, groups, lambda: ask(path, "revoke", client="alice"))
        assert refused == [77, "only root may revoke; members of SOCKET_GROUP may read"]
    refused = as_user(STRANGER, [OTHERS], lambda: ask(path, "hello"))
    assert refused[0] == 77
    assert "only root may talk to the daemon" in refused[1]


def test_who_gets_through_the_door_is_asked_all_the_same(house, lobby):
    """The kernel is asked who it is, whatever the mode of the socket is by now."""
    path = lobby / "spale.sock"
    house.start(f"socket={path}")
    house.ready()
    path.chmod(0o666)
    refused = as_user(STRANGER, [OTHERS], lambda: ask(path, "hello"))
    assert refused == [77, "only root may talk to the daemon, members of SOCKET_GROUP may read"]
    assert ask(path, "hello")["role"] == "admin"


def test_a_killed_daemon_leaves_a_socket_that_the_next_one_replaces(house):
    """Nobody answers at it meanwhile."""
    house.start()
    house.ready()
    house.stop(signal.SIGKILL)
    house.daemon.stderr.close()
    assert path_of(house).is_socket()
    with pytest.raises(UnavailableError, match="no daemon is running"):
        ask(path_of(house), "hello")
    house.log = ""
    house.start()
    house.ready()
    assert ask(path_of(house), "hello")["pid"] == house.daemon.pid


def test_two_daemons(house, tmp_path):
    """One socket has one of them; with a name the other has its own."""
    house.start()
    house.ready()
    (tmp_path / "second").mkdir()
    with opened(tmp_path / "second") as second:
        second.start(f"socket={path_of(house)}")
        assert second.end() == 69
        assert "another daemon has the management socket" in second.log
        assert "attach" not in second.names()
        second.daemon.stderr.close()
        second.log = ""
        second.start(f"socket={path_of(house)}", "name=second")
        second.ready()
        own = path_of(house).with_name("spale.sock-second")
        assert ask(own, "status")["name"] == "second"
        assert ask(own, "hello")["pid"] == second.daemon.pid
        assert ask(path_of(house), "hello")["pid"] == house.daemon.pid


def test_what_clients_hold_and_lose(house):
    """From the knock to the revocation."""
    house.start()
    house.ready()
    knock_is_granted(house)
    with Client.connect(path_of(house)) as client:
        (share,) = client.call("list_authorized")
        assert (share["client"], share["source"], share["service"]) == ("alice", "192.0.2.1", "22/tcp")
        (alice,) = client.call("list_clients")
        assert alice["holds"] == 1
        assert alice["last_knock_unix_ms"] > 0
        assert client.call("status")["grants"] == 1
        assert client.call("revoke", client="alice") == {"ended": 1, "sessions": 0}
        assert "client=alice cause=revoked" in house.line("revoked ")
        assert client.call("list_authorized") == []
        with pytest.raises(DataError):
            client.call("revoke", client="bob")
    knock_is_granted(house)


def test_reload_waits_for_what_comes_of_it(house):
    """A success says what has changed, a mistake is told as a whole; the status has it too."""
    house.start()
    house.ready()
    knock_is_granted(house)
    with Client.connect(path_of(house)) as client:
        assert client.call("status")["reload"] == {"last": None, "at_unix_ms": None}
        outcome = client.call("reload")
        assert (outcome["grants"], outcome["services"], outcome["ended"]) == (1, ["22/tcp"], 0)
        assert house.line("reload ")
        assert client.call("status")["reload"]["last"] == "ok"
        assert client.call("list_clients")[0]["last_knock_unix_ms"] is not None
        (house.folder / "changes").write_text("nosuch=1\n")
        with pytest.raises(ConfigError, match="nosuch: is no key"):
            client.call("reload")
        assert "nosuch: is no key" in client.call("status")["reload"]["last"]
        (house.folder / "changes").write_text("store=memory\n")
        with pytest.raises(ConfigError, match="needs a restart"):
            client.call("reload")


def test_a_stop_while_somebody_waits(house):
    """The daemon ends at once; who waits is told that it broke off."""
    house.start()
    house.ready()
    with Client.connect(path_of(house)) as client:
        house.stop()
        with pytest.raises(UnavailableError):
            client.call("status")


def test_an_unknown_method(house):
    """Is said to be of another version."""
    house.start()
    house.ready()
    with pytest.raises(UnavailableError, match="cannot do watch: it is of another version"):
        ask(path_of(house), "watch")


def sockets(pid):
    """Return how many sockets a process has; one that is closed meanwhile does not count."""
    number = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            number += str(entry.readlink()).startswith("socket:")
    return number


@contextmanager
def called(house, *payloads):
    """Yield connections, each of which has sent one of `payloads`, as far as that was taken."""
    with ExitStack() as stack:
        callers = []
        for payload in payloads:
            caller = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            caller.connect(str(path_of(house)))
            caller.settimeout(0)
            _send_what_fits(caller, payload)
            callers.append(caller)
        yield callers


def _send_what_fits(caller, payload):
    try:
        while payload:
            payload = payload[caller.send(payload) :]
    except OSError:
        return


PESTS = {
    "garbage": [os.urandom(4096) + b"\n"] * 20,
    "half a line": [HELLO[:20]] * 20,
    "a megabyte": [b"x" * (1 << 20)] * 5,
    "many brackets": [b"[" * 8000 + b"\n"] * 20,
    "one that never reads": [HELLO * 20_000] * 5,
    "two hundred at once": [HELLO] * 200,
    "two hundred that stall": [b""] * 200,
}


@pytest.mark.parametrize("kind", PESTS)
def test_pests(house, kind):
    """Knocks are granted, commands answered, and nothing is left when they have gone."""
    house.start()
    house.ready()
    before = sockets(house.daemon.pid)
    with called(house, *PESTS[kind]):
        for _ in range(3):
            knock_is_granted(house)
        assert ask(path_of(house), "hello")["pid"] == house.daemon.pid
        assert sockets(house.daemon.pid) <= before + 65
    assert until(lambda: sockets(house.daemon.pid) == before, 15)
    assert "error" not in house.log
    assert "listener_died" not in house.log


def test_the_listener_has_no_part_in_it(house, stack):
    """A listener that is forked while somebody is connected does not hold his connection."""
    house.start()
    first = house.ready()
    client = stack.enter_context(Client.connect(path_of(house)))
    client.call("reload")
    second = client.call("status")["listener_pid"]
    assert second != first
    assert sockets(second) == 3
