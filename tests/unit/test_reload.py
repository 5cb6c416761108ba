# SPDX-License-Identifier: MIT
"""A reload is a start beside what is running: it takes the place of that in one step, or not at all."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from paper_house import DEADLINE_S, is_gone, opened

from spale_core.demo.poll import until
from spale_core.monitor.supervisor import START_DEADLINE_S
from spale_crypto_hpke.suite import KeyPair

pytestmark = pytest.mark.kernel


@pytest.fixture
def house(tmp_path):
    """Return a house."""
    with opened(tmp_path) as made:
        yield made


def reload(house):
    """Ask for a reload."""
    house.daemon.send_signal(signal.SIGHUP)


def reloaded(house, since=0):
    """Wait until one has succeeded; return the listener's process id."""
    return house.number(house.line("reload ", since), "listener_pid")


def knock_is_granted(house):
    """Assert that a knock is granted."""
    since = len(house.log)
    house.send(house.seal())
    house.line("granted ", since=since)


def children(house):
    """Return the process ids of the daemon's listeners."""
    pid = house.daemon.pid
    return {int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def next_listener(house, listener):
    """Return the listener that a reload starts, stopped before it is ready."""
    hold = house.folder / "hold"
    hold.touch()
    reload(house)
    assert until(lambda: children(house) - {listener}, DEADLINE_S)
    (new,) = children(house) - {listener}
    state = Path(f"/proc/{new}/stat")
    assert until(lambda: state.read_text().rpartition(")")[2].split()[0] == "T", DEADLINE_S)
    hold.unlink()
    return new


def test_the_same_steps_as_a_start(house):
    """Filled first, attached last; then the earlier listener has ended by itself, and its maps are let go."""
    house.start()
    first = house.ready()
    begun = len(house.names())
    reload(house)
    second = reloaded(house)
    names = list(dict.fromkeys(house.names()[begun:]))
    assert names == ["set_services", "set_always_allow", "set_tags", "attach", "close"]
    assert is_gone(first)
    assert second != first
    knock_is_granted(house)
    assert "listener_died" not in house.log
    assert "error " not in house.log


def test_a_replay_stays_one(house):
    """What the earlier listener took, the next one refuses, and knows where it came from."""
    house.start()
    house.ready()
    payload = house.seal()
    house.send(payload)
    house.line("granted ")
    reload(house)
    reloaded(house)
    house.send(payload)
    assert "first_source=192.0.2.1" in house.line("refused reason=replay")


def test_a_mistake_changes_nothing(house):
    """It is named by its place; mended, it takes."""
    house.start()
    listener = house.ready()
    begun = house.names()
    changes = house.folder / "changes"
    changes.write_text("nosuch=1\n")
    reload(house)
    assert f"{changes}:1: nosuch: is no key" in house.line("reload_failed ")
    assert house.names() == begun
    assert children(house) == {listener}
    knock_is_granted(house)
    changes.write_text("on_exit=detach\n")
    reload(house)
    reloaded(house)
    house.stop()
    assert house.names()[-2:] == ["detach", "close"]


@pytest.mark.parametrize(
    "change", ["interfaces=lo,other0", "store=memory", "drop_privs=daemon", "dataplane=tc"]
)
def test_what_needs_a_restart(house, change):
    """It is refused as a whole, by the keys' names."""
    house.start()
    listener = house.ready()
    begun = house.names()
    (house.folder / "changes").write_text(f"{change}\non_exit=detach\n")
    reload(house)
    assert "needs a restart" in house.line("reload_failed ")
    assert house.names() == begun
    assert children(house) == {listener}


@pytest.mark.parametrize(
    "failing", ["set_services", "set_always_allow", "set_tags", "installed", "sessions", "ensure", "attach"]
)
def test_a_failure_leaves_all_as_it_was(house, failing):
    """Whichever step it is: the earlier listener goes on, its grants too, and the next reload may succeed."""
    house.start()
    listener = house.ready()
    knock_is_granted(house)
    (house.folder / "failing").write_text(failing)
    reload(house)
    assert f"{failing} fails" in house.line("reload_failed ")
    (house.folder / "failing").unlink()
    assert until(lambda: children(house) == {listener}, DEADLINE_S)
    knock_is_granted(house)
    assert house.names().count("close") == 1
    reload(house)
    reloaded(house)
    assert " grants=1 " in house.line("reload ")


def test_a_listener_that_cannot_start(house):
    """A key that is none: said with the listener's own words, and nothing changed."""
    house.start()
    listener = house.ready()
    house.write_key(b"no key")
    reload(house)
    assert "the listener could not start" in house.line("reload_failed ")
    assert children(house) == {listener}
    knock_is_granted(house)


def test_a_listener_that_is_killed_while_it_starts(house):
    """The same."""
    house.start()
    listener = house.ready()
    os.kill(next_listener(house, listener), signal.SIGKILL)
    assert "signal 9" in house.line("reload_failed ")
    assert children(house) == {listener}
    knock_is_granted(house)


def test_reloads_that_are_asked_for_meanwhile(house):
    """One more follows, for all of them; knocks are granted all the time."""
    house.start()
    listener = house.ready()
    new = next_listener(house, listener)
    for _ in range(3):
        reload(house)
        knock_is_granted(house)
    os.kill(new, signal.SIGCONT)
    assert reloaded(house) == new
    last = reloaded(house, since=house.log.index("\nreload ") + 2)
    knock_is_granted(house)
    assert until(lambda: children(house) == {last}, DEADLINE_S)
    assert house.log.count("\nreload ") == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_while_a_reload_is_under_way(house, number):
    """It is honoured at once, and no listener is left."""
    house.start()
    listener = house.ready()
    new = next_listener(house, listener)
    began = time.monotonic()
    assert house.stop(number) == 0
    assert time.monotonic() - began < START_DEADLINE_S / 2
    assert is_gone(listener)
    assert is_gone(new)


def test_a_listener_that_does_not_leave(house):
    """It is killed after a second or two, and that is said."""
    house.start()
    listener = house.ready()
    os.kill(listener, signal.SIGSTOP)
    reload(house)
    reloaded(house)
    assert f"process {listener}: it did not end in time (signal 9)" in house.line("error doing=reload ")
    assert is_gone(listener)
    knock_is_granted(house)


def test_what_it_has_read_is_not_lost(house):
    """Claims that wait in the earlier listener are judged; those of a client that is gone are refused."""
    house.start()
    listener = house.ready()
    house.daemon.send_signal(signal.SIGSTOP)
    house.send(house.seal())
    house.await_reading(listener)
    (house.folder / "alice.public").rename(house.folder / "bob.public")
    (house.folder / "aaron.public").write_bytes(KeyPair.generate().public)
    reload(house)
    house.daemon.send_signal(signal.SIGCONT)
    reloaded(house)
    # By the earlier configuration's or by the next one's name, but granted.
    assert house.line("granted ").startswith(("granted client=alice ", "granted client=bob "))
