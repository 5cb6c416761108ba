# SPDX-License-Identifier: MIT
"""What the monitor does with a listener that ends, falls silent, or was taken over."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

import pytest

from spale_core import ipc
from spale_core.model import Claim, Reason, Refused, Source
from spale_core.monitor.supervisor import Supervisor, first_failure
from spale_core.spawn import Child, Plan

SOURCE = Source(ip_address("192.0.2.7"))
CLAIM = Claim(0, bytes(32), 1, SOURCE, True, frozenset(), 0)  # noqa: FBT003 - in order
REFUSED = Refused(Reason.BAD_MAC, SOURCE)
DEADLINE_S = 30


class Stage:
    """A supervisor whose listener is a process that does nothing; the test says what it says."""

    def __init__(self):
        """Start one."""
        self.selector = selectors.DefaultSelector()
        self.process = None
        plan = Plan(settings=None, identity=None, sockets=(), plugins=())
        self.supervisor = Supervisor(plan, self.selector, self.start)
        self.supervisor.start({bytes(32): SOURCE})

    def start(self, plan):
        """Start a process that waits for its end, and keep its end of the channel."""
        self.leave()
        self.plan = plan
        ours, self.channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(0)
        program = "import sys; sys.exit(int(sys.stdin.readline() or 0))"
        self.process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE)
        return Child(self.process.pid, os.pidfd_open(self.process.pid), ours)

    def say(self, *messages):
        """Say something, and return what the supervisor hears."""
        for message in messages:
            self.channel.send(message if isinstance(message, bytes) else ipc.encode(message))
        return self.supervisor.receive()

    def leave(self):
        """Let go of a process that the supervisor has waited for."""
        if self.process is not None:
            self.process.stdin.close()
            self.process.returncode = 0
            self.channel.close()

    def close(self):
        """End what is there."""
        self.supervisor.end()
        self.leave()
        self.selector.close()


def descriptors():
    """Return the numbers of this process's descriptors."""
    return sorted(entry.name for entry in Path("/proc/self/fd").iterdir())


@pytest.fixture
def stage():
    """Return a stage."""
    made = Stage()
    yield made
    made.close()


def test_the_plan_has_the_identities(stage):
    """A listener is born with the replay identities of that moment."""
    assert stage.plan.seen == {bytes(32): SOURCE}


def test_messages_come_through(stage):
    """Those before `Ready` first; what follows waits until the monitor asks again."""
    assert stage.say(REFUSED, ipc.Ready(), CLAIM) == [REFUSED, ipc.Ready()]
    assert stage.supervisor.is_ready
    assert stage.supervisor.receive() == [CLAIM]
    assert stage.supervisor.receive() == []


def test_its_words_wake_the_loop(stage):
    """The selector tells when there is something to hear."""
    stage.channel.send(ipc.encode(ipc.Ready()))
    ((key, _),) = stage.selector.select(DEADLINE_S)
    assert key.data is stage.supervisor


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"\0",
        b"\x09",
        ipc.encode(CLAIM)[:-1],
        ipc.encode(CLAIM) + b"\0",
        bytes(10_000),
        ipc.encode(CLAIM),
    ],
    ids=["end", "type 0", "type 9", "short", "long", "too long", "claim before ready"],
)
def test_what_no_listener_of_ours_sends(stage, record):
    """It has been taken over, or has ended: it must go."""
    with pytest.raises(ipc.IpcError):
        stage.say(record)


@pytest.mark.parametrize("message", [ipc.Ready(), b"\0"])
def test_nor_after_it_was_ready(stage, message):
    """A second `Ready` is none."""
    stage.say(ipc.Ready())
    with pytest.raises(ipc.IpcError):
        stage.say(message)


def test_nobody_is_alive_before_he_is_ready(stage):
    """The loop that says so begins later."""
    with pytest.raises(ipc.IpcError):
        stage.say(ipc.Alive())


def test_descriptors_are_refused(stage):
    """Ancillary data ends the listener, and no descriptor gets into the monitor."""
    before = descriptors()
    socket.send_fds(stage.channel, [ipc.encode(ipc.Ready())], [0, 1])
    with pytest.raises(ipc.IpcError, match="ancillary"):
        stage.supervisor.receive()
    assert descriptors() == before


def test_a_flood_does_not_keep_the_monitor(stage):
    """A bounded number of messages is taken at a time."""
    stage.say(ipc.Ready())
    stage.channel.settimeout(0)
    with suppress(BlockingIOError):
        while True:
            stage.channel.send(ipc.encode(ipc.Alive()))
    taken = []
    while messages := stage.supervisor.receive():
        taken.append(len(messages))
    assert max(taken) <= 512


def test_its_end_is_told(stage):
    """A listener that ended by itself keeps its status, one that had to be ended has a signal."""
    stage.process.stdin.write(b"78\n")
    stage.process.stdin.flush()
    os.waitid(os.P_PID, stage.process.pid, os.WEXITED | os.WNOWAIT)
    assert stage.supervisor.end() == "exit status 78"
    stage.supervisor.start({})
    assert stage.supervisor.end() == f"signal {int(signal.SIGKILL)}"
    assert stage.supervisor.end() == "not running"
    assert stage.supervisor.pid == 0


def test_what_it_said_before_its_end_counts(stage):
    """The end comes after it."""
    stage.say(ipc.Ready())
    stage.channel.send(ipc.encode(CLAIM))
    stage.channel.close()
    assert stage.supervisor.receive() == [CLAIM]
    with pytest.raises(ipc.IpcError, match="it has ended"):
        stage.supervisor.receive()


def test_one_that_is_dismissed_hears_of_it(stage):
    """From the end of its channel, which goes on carrying what it says."""
    stage.say(ipc.Ready())
    assert stage.supervisor.dismiss()
    assert stage.channel.recv(1) == b""
    assert stage.say(CLAIM) == [CLAIM]
    stage.supervisor.end()
    assert not stage.supervisor.dismiss()


def test_who_fails_again_waits_longer(stage):
    """A tenth of a second at first, ten seconds at most."""
    waits = [stage.supervisor.schedule_restart() for _ in range(10)]
    assert waits[:4] == [0.1, 0.2, 0.4, 0.8]
    assert waits[-1] == 10
    assert 0 < stage.supervisor.restart_in_s() <= 10
    stage.supervisor.end()
    stage.supervisor.start({})
    assert stage.supervisor.restart_in_s() is None


@pytest.mark.parametrize(
    ("status", "code"), [("exit status 78", 78), ("exit status 0", 69), ("signal 9", 69)]
)
def test_a_first_listener_that_fails_ends_the_command(status, code):
    """With its own exit code, if it has one."""
    assert first_failure(status, "it has ended").exit_code == code


def test_it_is_known_when_a_listener_was_alive(stage):
    """By that message alone: whoever floods the monitor with others may be stuck."""
    stage.say(ipc.Ready(), CLAIM)
    assert stage.supervisor.alive_s is None
    stage.say(ipc.Alive())
    assert stage.supervisor.alive_s is not None
