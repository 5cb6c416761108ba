# SPDX-License-Identifier: MIT
"""Tenures in the state file: of this boot only, and in files from before there were any."""

from __future__ import annotations

import sqlite3

import pytest
from store_lab import HERE, SSH, THERE, Lab

from spale_core.model import NEVER_NS, Tenure
from spale_core.stores import rows
from spale_core.stores.database import VERSION

TENURE = Tenure("alice", HERE, SSH, ((5, 9), (12, NEVER_NS)))


@pytest.fixture
def lab(tmp_path):
    """Return a lab."""
    return Lab(tmp_path / "state", tmp_path / "run")


def hold(store):
    """Let alice have held something."""
    with store.transaction():
        store.put_tenure(TENURE)


def make_old(lab):
    """Turn the file into one of the version before."""
    connection = sqlite3.connect(lab.path)
    with connection:
        connection.execute("DROP TABLE tenures")
        connection.execute("DROP TABLE allowed")
        connection.execute("PRAGMA user_version = 1")
    connection.close()


def version(lab):
    """Return the file's."""
    connection = sqlite3.connect(lab.path)
    ((number,),) = connection.execute("PRAGMA user_version").fetchall()
    connection.close()
    return number


def test_a_suspend_moves_no_tenure(lab):
    """Sessions say in CLOCK_MONOTONIC when they were opened; so do tenures."""
    with lab.killed() as store:
        hold(store)
    lab.host.suspend(100)
    with lab.opened() as store:
        assert list(store.tenures()) == [TENURE]


def test_another_boot_has_none(lab):
    """Their sessions are gone, too; and nothing of them is left in the file."""
    with lab.opened() as store:
        hold(store)
    lab.host.reboot(60)
    for _ in range(2):
        with lab.opened() as store:
            assert list(store.tenures()) == []


def test_a_file_from_before_is_taken_over(lab):
    """With all that it says; it becomes one of ours with the first transaction."""
    with lab.opened() as store:
        held = lab.hold(store, source=THERE)
        assert lab.use(store, 1)
    make_old(lab)
    with lab.killed() as store:
        assert (list(store.live()), list(store.tenures()), store.memory_lost) == ([held], [], False)
        hold(store)
    assert version(lab) == VERSION
    lab.host.clock.advance(1)
    with lab.opened() as store:
        assert (list(store.live()), list(store.tenures())) == ([held], [TENURE])
        assert not lab.use(store, 1)


def test_a_renewed_file_has_them(lab):
    """A disk that failed and works again: what is written then is everything."""
    with lab.opened() as store:
        hold(store)
        store._file.give_up()
        lab.host.clock.advance(61)
        hold(store)
    with lab.opened() as store:
        assert list(store.tenures()) == [TENURE]


@pytest.mark.parametrize("spans", [b"\0" * 15, "text", None])
def test_nonsense_is_refused(spans):
    """A row that no spale would write."""
    with pytest.raises((TypeError, ValueError)):
        rows.tenure((*rows.holding_key("alice", HERE, SSH), spans))


def test_a_missing_row_is_noticed(lab):
    """The sum over all rows has them in it."""
    with lab.opened() as store:
        hold(store)
    connection = sqlite3.connect(lab.path)
    with connection:
        connection.execute("DELETE FROM tenures")
    connection.close()
    with lab.opened() as store:
        assert store.memory_lost
    assert any("not those that were written" in said for said in lab.said)
