# SPDX-License-Identifier: MIT
"""What a real daemon logs: to syslog, to a pipe that nobody reads, under a flood, at any level."""

from __future__ import annotations

import os
import re
import shlex
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from attrs import frozen
from house import LOG_S, SPA_PORT
from reloading import Change
from rooms import Room

from spale_core.demo.poll import until
from spale_core.demo.processes import ProcessFailedError, run_tool
from spale_core.model import EPOCH_S

BUGGY = Path(__file__).with_name("buggy.py")
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
LINE = re.compile(r"<(\d+)>(\w{3} [ \d]\d \d\d:\d\d:\d\d) spale\[(\d+)\]: (\w+) (.*)")
DAEMON = 24
NOTICE, INFO, ERROR = 5, 6, 3
FLOOD, FLOOD_S = 500, 2.5
PLAINTEXT_BYTES = 64
START_S = 15


@frozen
class Said:
    """One line that syslog got."""

    priority: int
    pid: int
    word: str
    fields: dict


class Syslogd:
    """A syslogd in a room, where it has ``/dev/log`` and the host's is not touched."""

    def __init__(self, room, stack):
        """Put a folder of devices in the place of the room's, and the socket's name into it."""
        self._path = room.house.folder / "log.sock"
        self._stack = stack
        self._said = []
        folder = room.house.folder / "dev"
        folder.mkdir()
        room.run("mount", "-t", "tmpfs", "tmpfs", str(folder))
        for name in DEVICES:
            room.run("touch", str(folder / name))
            room.run("mount", "--bind", f"/dev/{name}", str(folder / name))
        room.run("ln", "-s", str(self._path), str(folder / "log"))
        room.run("mount", "--move", str(folder), "/dev")

    def start(self):
        """Take lines, as a new process, if there was one before."""
        self.stop()
        self._socket = self._stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        self._socket.bind(str(self._path))
        self._path.chmod(0o666)
        self._socket.settimeout(0)

    def stop(self):
        """Take none."""
        if self._path.exists():
            self._path.unlink()
            self._socket.close()

    def said(self, word, **fields):
        """Return the lines about an event."""
        while True:
            try:
                datagram = self._socket.recv(65536)
            except BlockingIOError:
                break
            priority, _, pid, name, rest = LINE.fullmatch(datagram.decode("ascii")).groups()
            pairs = dict(pair.split("=", 1) for pair in shlex.split(rest))
            self._said.append(Said(int(priority), int(pid), name, pairs))
        return [each for each in self._said if each.word == word and fields.items() <= each.fields.items()]

    def wait_for(self, word, **fields):
        """Return the first such line."""
        assert until(lambda: self.said(word, **fields), START_S), self._said
        return self.said(word, **fields)[0]


@pytest.fixture
def syslogd(tc_house, monkeypatch):
    """Return a syslogd that runs, and a room whose daemons log to it; anna's authenticator has a bug."""
    info = tc_house.folder / "plugins" / "buggy-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: buggy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[spale]\nbuggy = buggy\n")
    (info.parent / BUGGY.name).symlink_to(BUGGY)
    monkeypatch.setenv("PYTHONPATH", str(info.parent))
    settings = {"LOG_USE_SYSLOG": 1, "AUTH": "hpke,buggy", "ANNA_AUTH": "buggy", "STORE": "memory"}
    room = Room(tc_house, {**settings, "PIN_DIR": tc_house.config["PIN_DIR"]})
    with ExitStack() as stack:
        syslogd = Syslogd(room, stack)
        syslogd.start()
        yield syslogd, room
        tc_house.close()
        room.close()


def test_syslog(syslogd, tc_house):
    """Monitor and listener say all of it there, each in its own name, also to a syslogd that came later."""
    syslog, room = syslogd
    daemon = room.start()
    ready = syslog.wait_for("ready")
    assert (ready.priority, ready.pid) == (DAEMON + NOTICE, int(ready.fields["pid"]))
    guest, late, stranger = (tc_house.guest(4) for _ in range(3))
    tc_house.send(guest, tc_house.datagram("tardy", guest))
    assert syslog.wait_for("granted", source=str(guest)).priority == DAEMON + NOTICE
    tc_house.send(stranger, tc_house.datagram("anna", stranger))
    bug = syslog.wait_for("plugin_bug", error="KeyError")
    assert (bug.priority, bug.pid) == (DAEMON + ERROR, int(ready.fields["listener_pid"]))
    assert syslog.wait_for("refused", reason="internal").priority == DAEMON + INFO
    syslog.start()
    tc_house.send(late, tc_house.datagram("usher", late))
    assert syslog.wait_for("granted", source=str(late)).pid == ready.pid
    assert daemon.log.read_text() == ""
    # Its filter lets the listener call nobody new, so it goes on where it can.
    tc_house.send(stranger, tc_house.datagram("anna", stranger))
    daemon.wait_for("plugin_bug", timeout_s=LOG_S)
    assert daemon.stop() == 0
    assert syslog.wait_for("exit").fields["open_with"] == "spale detach"


def test_without_a_syslogd(syslogd, tc_house):
    """Lines go to stderr, which says so; once there is one, they go there, errors of a start included."""
    syslog, room = syslogd
    syslog.stop()
    daemon = room.start()
    daemon.wait_for("ready", timeout_s=START_S)
    assert "No such file" in daemon.wait_for("log", timeout_s=LOG_S, to="stderr")["cause"]
    syslog.start()
    guest = tc_house.guest(4)
    tc_house.send(guest, tc_house.datagram("tardy", guest))
    syslog.wait_for("granted", source=str(guest))
    syslog.wait_for("log", to="syslog")
    assert daemon.events("granted") == []
    # Whoever reads syslog does not see what a start says on stderr.
    with pytest.raises(ProcessFailedError, match="another daemon guards"):
        room.start("--name", "second", LISTEN_PORT=SPA_PORT + 1).wait_for("ready", timeout_s=START_S)
    assert "another daemon guards" in syslog.wait_for("error", doing="run").fields["message"]


def test_a_pipe_that_nobody_reads(tc_house):
    """The daemon guards, lets in and ends as ever; what it said is there for who reads at last."""
    path = tc_house.folder / "daemon-0.log"
    os.mkfifo(path)
    with ExitStack() as stack:
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        stack.callback(os.close, reader)
        _fill(path)
        daemon = tc_house.start()
        control = tc_house.config["SOCKET"]
        status = ("spale_core.cli.main", "status", "--socket", str(control))
        assert until(lambda: control.exists() and run_tool(tc_house.stage.server, *status), START_S)
        guest, late = tc_house.guest(4), tc_house.guest(4)
        tc_house.knock("anna", guest)
        assert tc_house.all_open([guest])
        said = [_read(reader)]
        tc_house.knock("tardy", late)
        assert until(lambda: said.append(_read(reader)) or f"source={late}" in "".join(said), LOG_S)
        assert daemon.stop() == 0
        lines = ("".join(said) + _read(reader)).lstrip("x").splitlines()
    assert [line.split()[0] for line in lines if line.startswith(("ready", "granted", "exit"))] == [
        *("ready", "granted", "granted", "exit")
    ]
    assert all(re.fullmatch(r"[a-z_]+ .* time=\S+Z", line) for line in lines)


def _fill(path):
    """Leave no room in a pipe."""
    writer = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        return
    finally:
        os.close(writer)


def _read(descriptor):
    """Return what is in a pipe."""
    found = b""
    try:
        while piece := os.read(descriptor, 65536):
            found += piece
    except BlockingIOError:
        pass
    return found.decode("ascii")


def test_a_flood_of_somebody_with_a_key(tc_house):
    """Hundreds a second that the kernel lets through have a line a second; grants have one each."""
    tc_house.guard()
    epoch = int(time.time()) // EPOCH_S
    payloads = [
        tc_house.keyring.seal_plaintext("anna", epoch, os.urandom(PLAINTEXT_BYTES)) for _ in range(FLOOD)
    ]
    flooder, guests = tc_house.guest(4), [tc_house.guest(4) for _ in range(5)]
    began = time.monotonic()
    for number, payload in enumerate(payloads):
        tc_house.send(flooder, payload)
        if number % (FLOOD // len(guests)) == 0:
            guest = guests[number * len(guests) // FLOOD]
            tc_house.send(guest, tc_house.datagram("tardy", guest))
        sent = time.monotonic()
        until(lambda sent=sent: time.monotonic() >= sent + FLOOD_S / FLOOD, FLOOD_S)
    # A listener that had to wait for the processor may have missed some.
    assert until(lambda: tc_house.refusals("malformed")[1] >= FLOOD / 2, LOG_S)
    assert until(lambda: len(tc_house.daemon.events("granted")) >= len(guests), LOG_S)
    took_s = time.monotonic() - began
    assert len(tc_house.refusals("malformed")[0]) <= took_s + 2
    assert {event["source"] for event in tc_house.daemon.events("granted")} == {*map(str, guests)}


def test_the_level_is_read_again(tc_house):
    """From `error` on refusals are not told, grants and what takes them are; and back again."""
    change = Change(tc_house)
    daemon = tc_house.start()
    daemon.wait_for("ready", timeout_s=START_S)
    reload = ("spale_core.cli.main", "reload", "--socket", str(tc_house.config["SOCKET"]))
    change.write(LOG_LEVEL="error")
    run_tool(tc_house.stage.server, *reload)
    guest, bad = tc_house.guest(4), tc_house.guest(4)
    tc_house.send(bad, tc_house.keyring.junk())
    tc_house.send(guest, tc_house.datagram("anna", guest))
    daemon.wait_for("granted", timeout_s=LOG_S, source=str(guest))
    run_tool(tc_house.stage.server, "spale_core.cli.main", "revoke", "--client", "anna", *reload[2:])
    daemon.wait_for("revoked", timeout_s=LOG_S, client="anna")
    change.write(LOG_LEVEL="debug")
    run_tool(tc_house.stage.server, *reload)
    daemon.wait_for("reload", timeout_s=LOG_S)
    assert len(daemon.events("reload")) == 1
    assert daemon.events("refused") == []
    tc_house.send(bad, tc_house.keyring.junk())
    daemon.wait_for("refused", timeout_s=LOG_S)
