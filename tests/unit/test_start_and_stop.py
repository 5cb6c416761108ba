# SPDX-License-Identifier: MIT
"""How a daemon begins and ends: nothing is attached before all is well, and stopping is not opening."""

from __future__ import annotations

import signal
import socket

import pytest
from paper_house import ADDRESS4, PORT, is_gone, opened

pytestmark = pytest.mark.kernel


@pytest.fixture
def house(tmp_path):
    """Return a house."""
    with opened(tmp_path) as made:
        yield made


@pytest.mark.parametrize(
    ("number", "changes", "detached"),
    [
        (signal.SIGTERM, (), False),
        (signal.SIGTERM, ("on_exit=detach",), True),
        (signal.SIGINT, (), True),
    ],
)
def test_stopping_is_not_opening(house, number, changes, detached):
    """SIGTERM keeps unless told otherwise, and the last line says how to open; Ctrl-C detaches."""
    house.start(*changes)
    listener = house.ready()
    assert house.stop(number) == 0
    assert ("detach" in house.names()) is detached
    last = house.lines()[-1]
    kept = f'exit cause={number.name} attached=yes open_with="spale detach"'
    assert last == (f"exit cause={number.name} attached=no" if detached else kept)
    assert is_gone(listener)


@pytest.mark.parametrize("failing", ["set_services", "set_tags", "attach"])
def test_a_start_that_fails_leaves_nothing(house, failing):
    """No program, no listener, and the dataplane's own words and exit code."""
    house.start(failing=failing)
    assert house.end() == 69
    assert "attach" not in house.names()
    assert f"spale: {failing} fails" in house.log
    assert house.names()[-1] == "close"


def test_a_listener_that_cannot_start_ends_the_command(house):
    """With what it said, and its exit code; nothing was attached."""
    house.write_key(b"no key")
    house.start()
    assert house.end() == 65
    assert "server key 1" in house.log
    assert "attach" not in house.names()


def test_a_key_that_others_may_read(house):
    """The listener reads it as root, and refuses it."""
    (house.folder / "server.key").chmod(0o644)
    house.start()
    assert house.end() == 78
    assert "SERVER_KEY" in house.log


def test_a_port_that_is_taken(house):
    """Is named."""
    with house.namespace.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind((ADDRESS4, PORT))
        house.start()
        assert house.end() == 69
    assert f"port {PORT}: Address already in use" in house.log


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ("interfaces=nosuch0", 69, "nosuch0"),
        ("dataplane=nosuch", 78, "no plugin 'nosuch' is installed"),
        ("store=nosuch", 78, "no plugin 'nosuch' is installed"),
        ("drop_privs=root", 78, "DROP_PRIVS"),
        ("drop_privs=no-such-user", 78, "DROP_PRIVS"),
    ],
)
def test_mistakes_end_the_start(house, change, code, words):
    """Each with its exit code and words that help, and nothing attached."""
    house.start(change)
    assert house.end() == code
    assert words in house.log
    assert "attach" not in house.names()


def test_a_failing_sweep_does_not_end_the_daemon(house):
    """The kernel may refuse a chore; the daemon says so, and goes on."""
    house.start(failing="installed")
    house.ready()
    assert "doing=sweep" in house.line("error ")
    house.send(house.seal())
    house.line("granted ")


def test_an_error_does_not_open(house):
    """A daemon that cannot go on leaves what is attached, ON_EXIT=detach or not, and says how to open it."""
    house.start("on_exit=detach", failing="installed!")
    listener = house.ready()
    assert house.end() == 1
    assert 'exit cause=error attached=yes open_with="spale detach"' in house.lines()
    assert "detach" not in house.names()
    assert is_gone(listener)
