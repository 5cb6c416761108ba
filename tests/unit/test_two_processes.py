# SPDX-License-Identifier: MIT
"""Monitor and listener as real processes: who does what, and who may do what (docs/privsep.md)."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from paper_house import ADDRESS4, ADDRESS6, PORT, is_gone, opened, status

from spale_core.demo.stage import Namespace
from spale_crypto_hpke.requester import HpkeRequester

pytestmark = pytest.mark.kernel


@pytest.fixture
def house(tmp_path):
    """Return a house."""
    with opened(tmp_path) as made:
        yield made


def test_the_listener_can_do_nothing(house):
    """Another user, no groups, no capabilities now or ever, nothing more to open, nobody may look into it."""
    house.start()
    listener = house.ready()
    found = status(listener)
    for key in ("Uid", "Gid"):
        assert len(set(found[key])) == 1
        assert found[key][0] != "0"
    assert found["Groups"] == []
    for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(found[key][0], 16) == 0
    assert found["NoNewPrivs"] == ["1"]
    limits = Path(f"/proc/{listener}/limits").read_text()
    for name in ("core file size", "open files", "processes"):
        assert re.search(rf"Max {name} +0 +0 ", limits)
    # No terminal of the monitor's is its own.
    assert os.getsid(listener) == listener
    # What is not dumpable belongs to root in /proc, so that its own user cannot read it either.
    assert Path(f"/proc/{listener}/environ").stat().st_uid == 0


def test_the_listener_holds_nothing_of_the_monitors(house):
    """Its two sockets, its channel, its selector and timer, standard error; input and output go nowhere."""
    house.start()
    folder = Path(f"/proc/{house.ready()}/fd")
    found = {int(entry.name): str(entry.readlink()) for entry in folder.iterdir()}
    assert {found.pop(0), found.pop(1)} == {"/dev/null"}
    found.pop(2)
    kinds = sorted(target.rstrip("0123456789[]") for target in found.values())
    assert kinds == ["anon_inode:[eventpoll", "anon_inode:[timerfd", "socket:", "socket:", "socket:"]


def test_a_socket_that_root_has_shut_down(house):
    """`ss -K` ends no listener: what the kernel says of its socket is a line of the log."""
    house.start()
    listener = house.ready()
    with house.namespace.inside():
        subprocess.run(["ss", "-K", "-ua", f"sport = :{PORT}"], check=True, capture_output=True)  # noqa: S607 - iproute2
    house.line("error doing=receive ")
    since = len(house.log)
    house.send(house.seal(ADDRESS6), ADDRESS6)
    house.line("granted ", since)
    assert Path(f"/proc/{listener}").exists()


def test_attaching_is_the_last_step(house):
    """Services, prefixes and tags are there before a packet is judged; ready is said after that."""
    house.start()
    house.ready()
    assert list(dict.fromkeys(house.names())) == ["set_services", "set_always_allow", "set_tags", "attach"]
    (_, tags) = house.calls()[-2]
    assert len(tags) in {3, 4}
    assert house.log.index("attach interface=lo") < house.log.index("ready interface=lo")


@pytest.mark.parametrize("address", [ADDRESS4, ADDRESS6])
def test_a_knock_is_granted(house, address):
    """From the socket to the dataplane and the log, in both families."""
    house.start()
    house.ready()
    house.send(house.seal(address), address)
    assert f" source={address} services=22/tcp " in house.line("granted client=alice ")
    name, (grant,) = house.calls()[-1]
    assert name == "allow"
    assert address in grant


def test_what_is_refused_is_named(house):
    """By the listener and by the monitor, with the reason of each."""
    house.start()
    house.ready()
    house.send(b"junk")
    assert "reason=spa_length" in house.line("refused ")
    house.send(bytes(128))
    assert "reason=unknown_tag" in house.line("refused reason=unknown_tag")
    house.send(house.seal("198.51.100.1"))
    assert "reason=source_mismatch" in house.line("refused reason=source_mismatch")
    requester = HpkeRequester(house.server.public, house.client)
    house.send(requester.seal(unix_ms=time.time_ns() // 1_000_000))
    assert " client=alice " in house.line("refused reason=memory_lost")
    assert "allow" not in house.names()


def test_other_interfaces_are_refused(house):
    """A datagram that came in elsewhere than on what is protected."""
    peer = Namespace()
    try:
        house.namespace.cable("door0", peer, "knock0")
        house.start("interfaces=door0")
        house.ready()
        house.send(house.seal())
        assert "source=192.0.2.1" in house.line("refused reason=unprotected_interface count=1")
    finally:
        peer.close()


def test_a_listener_that_dies_is_replaced(house):
    """By one on the same sockets that knows what was used, so that a replay stays one."""
    house.start()
    first = house.ready()
    payload = house.seal()
    house.send(payload)
    house.line("granted ")
    os.kill(first, signal.SIGKILL)
    assert 'status="signal 9"' in house.line("listener_died ")
    second = house.number(house.line("listener_ready "), "pid")
    assert second != first
    house.send(payload)
    replayed = house.line("refused reason=replay")
    assert f" source={ADDRESS4} first_source={ADDRESS4} " in replayed
    house.send(house.seal())
    house.line("granted ", since=len(house.log))
    assert house.names().count("attach") == 1
    assert int(status(second)["CapBnd"][0], 16) == 0


def test_the_listener_does_not_wait_for_the_monitor(house):
    """What a monitor that stands still does not take is dropped and counted, and then all is well again."""
    house.start()
    listener = house.ready()
    house.daemon.send_signal(signal.SIGSTOP)
    for _ in range(20):
        for payload in [house.seal() for _ in range(100)]:
            house.send(payload)
        house.await_reading(listener)
    house.daemon.send_signal(signal.SIGCONT)
    house.line("refused reason=overload")
    house.line("granted ")
    os.kill(listener, 0)


def test_a_listener_ends_with_its_monitor(house):
    """Also if the monitor is killed; what is attached stays."""
    house.start()
    listener = house.ready()
    house.stop(signal.SIGKILL)
    assert is_gone(listener)
    assert "detach" not in house.names()


def test_the_listener_leaves_signals_to_the_monitor(house):
    """Ctrl-C and a service manager's SIGTERM reach both; only the monitor decides."""
    house.start()
    listener = house.ready()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(listener, number)
    house.send(house.seal())
    house.line("granted ")
    assert "listener_died" not in house.log
