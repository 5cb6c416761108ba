# SPDX-License-Identifier: MIT
"""What systemd hears from the daemon, by sd_notify(3)'s protocol."""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import suppress

import pytest
from paper_house import opened

from spale_core.monitor.servicemanager import ServiceManager

DEADLINE_S = 60


class Ear:
    """The socket that a service manager listens at."""

    def __init__(self, address):
        """Listen at `address`, or in the abstract namespace if it begins with ``@``."""
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self._sock.settimeout(DEADLINE_S)
        self.environment = {"NOTIFY_SOCKET": address}

    def __enter__(self):
        """Return the ear."""
        return self

    def __exit__(self, *_):
        """Hear nothing more."""
        self._sock.close()

    def hear(self):
        """Return the next message, as a mapping."""
        return dict(line.split("=", 1) for line in self._sock.recv(4096).decode().split("\n"))

    def hear_until(self, key):
        """Return all messages up to the one that has `key`."""
        heard = [self.hear()]
        while key not in heard[-1]:
            heard.append(self.hear())
        return heard

    def hear_all(self, pause_s=0.0):
        """Return all messages until none comes for `pause_s` seconds."""
        heard = []
        self._sock.settimeout(pause_s)
        with suppress(BlockingIOError, TimeoutError):
            while True:
                heard.append(self.hear())
        self._sock.settimeout(DEADLINE_S)
        return heard


@pytest.fixture
def ear(tmp_path):
    """Return a service manager's ear."""
    with Ear(str(tmp_path / "notify")) as made:
        yield made


@pytest.mark.parametrize("abstract", [False, True])
def test_what_is_said_is_heard(tmp_path, abstract):
    """At a socket in the file system, and at one in the abstract namespace."""
    address = f"@spale-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with Ear(address) as ear:
        manager = ServiceManager.of(ear.environment)
        manager.ready()
        manager.reloading()
        manager.stopping()
        assert ear.hear() == {"READY": "1"}
        reloading = ear.hear()
        assert reloading["RELOADING"] == "1"
        assert 0 <= time.monotonic() - int(reloading["MONOTONIC_USEC"]) / 1e6 < DEADLINE_S
        assert ear.hear() == {"STOPPING": "1"}


def test_no_child_inherits_it(ear):
    """What names the manager is gone from the environment."""
    environment = {**ear.environment, "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "HOME": "/"}
    ServiceManager.of(environment)
    assert environment == {"HOME": "/"}


def test_without_a_manager_nothing_is_said():
    """A daemon that nobody manages says nothing, and fails at nothing."""
    manager = ServiceManager.of({})
    manager.ready()
    manager.turn(1.0)


def test_a_sentence_is_said_when_it_changes(ear):
    """As one line: what is in it cannot be another message."""
    manager = ServiceManager.of(ear.environment)
    manager.describe("guards\nREADY=1")
    manager.describe("guards\nREADY=1")
    manager.describe("rests")
    assert ear.hear() == {"STATUS": "guards READY=1"}
    assert ear.hear() == {"STATUS": "rests"}


@pytest.mark.parametrize("named", [False, True])
def test_the_watchdog_is_fed_by_what_the_listener_says(ear, named):
    """Never before its first `alive`, nor twice for the same one."""
    pid = {"WATCHDOG_PID": str(os.getpid())} if named else {}
    manager = ServiceManager.of({**ear.environment, "WATCHDOG_USEC": "1", **pid})
    manager.turn(None)
    assert ear.hear_all() == []
    manager.turn(1.0)
    assert ear.hear() == {"WATCHDOG": "1"}
    manager.turn(1.0)
    manager.turn(None)
    assert ear.hear_all() == []
    manager.turn(2.0)
    assert ear.hear() == {"WATCHDOG": "1"}


def test_the_watchdog_is_fed_no_more_often_than_it_needs(ear):
    """A quarter of its time must have passed."""
    manager = ServiceManager.of({**ear.environment, "WATCHDOG_USEC": "3600000000"})
    manager.turn(1.0)
    assert ear.hear() == {"WATCHDOG": "1"}
    manager.turn(2.0)
    assert ear.hear_all() == []


@pytest.mark.parametrize(
    "changes", [{"WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "0"}]
)
def test_a_watchdog_that_is_not_ours_is_not_fed(ear, changes):
    """Nor one whose time cannot be read."""
    manager = ServiceManager.of({**ear.environment, "WATCHDOG_USEC": "1", **changes})
    manager.turn(1.0)
    assert ear.hear_all() == []


def test_what_nobody_takes_is_said_again(tmp_path):
    """A manager that is full, or restarts, gets what it has missed, in order; the daemon never waits."""
    address = str(tmp_path / "notify")
    manager = ServiceManager.of({"NOTIFY_SOCKET": address})
    manager.ready()
    manager.describe("guards")
    with Ear(address) as ear:
        manager.turn(None)
        assert ear.hear() == {"READY": "1"}
        assert ear.hear() == {"STATUS": "guards"}


@pytest.fixture
def house(tmp_path, ear, monkeypatch):
    """Return a house whose daemon has a service manager with a watchdog of two seconds."""
    for name, value in {**ear.environment, "WATCHDOG_USEC": "2000000"}.items():
        monkeypatch.setenv(name, value)
    with opened(tmp_path) as made:
        yield made


@pytest.mark.kernel
def test_a_daemon_tells_how_it_is(house, ear):
    """Ready after it has said so in the log; a reload begins and ends, also one that fails; the end."""
    house.start()
    heard = ear.hear_until("READY")
    house.ready()
    assert heard[0]["STATUS"].startswith("guards ")
    ear.hear_until("WATCHDOG")

    house.daemon.send_signal(signal.SIGHUP)
    ear.hear_until("RELOADING")
    ear.hear_until("READY")

    (house.folder / "changes").write_text("broken\n")
    house.daemon.send_signal(signal.SIGHUP)
    ear.hear_until("RELOADING")
    ear.hear_until("READY")
    assert "the last reload changed nothing" in ear.hear_until("STATUS")[-1]["STATUS"]

    assert house.stop() == 0
    ear.hear_until("STOPPING")


@pytest.mark.kernel
def test_a_listener_that_is_stuck_feeds_no_watchdog(house, ear):
    """Though the monitor goes on; as soon as the listener does, too, it is fed again."""
    house.start()
    listener = house.ready()
    ear.hear_until("WATCHDOG")
    os.kill(listener, signal.SIGSTOP)
    # What was on its way still comes; then nothing, for longer than the watchdog waits: else this never ends.
    ear.hear_all(pause_s=2.5)
    os.kill(listener, signal.SIGCONT)
    ear.hear_until("WATCHDOG")
    assert house.stop() == 0
