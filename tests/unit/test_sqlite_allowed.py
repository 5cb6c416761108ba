# SPDX-License-Identifier: MIT
"""Allowed prefixes in the state file: of every boot, also in files from before there were any."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from ipaddress import ip_network

import pytest
from store_lab import Lab

from spale_core.stores import rows
from spale_core.stores.database import VERSION

PREFIXES = [ip_network("10.0.0.0/8"), ip_network("::/0"), ip_network("2001:db8::7/128")]


@pytest.fixture
def lab(tmp_path):
    """Return a lab."""
    return Lab(tmp_path / "state", tmp_path / "run")


def allow(store):
    """Let there be prefixes."""
    with store.transaction():
        for prefix in PREFIXES:
            store.put_allowed(prefix)


def execute(lab, *statements):
    """Change the file behind the daemon's back."""
    with closing(sqlite3.connect(lab.path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def test_another_boot_has_them(lab):
    """A prefix is no matter of time."""
    with lab.opened() as store:
        allow(store)
    lab.host.reboot(60)
    for _ in range(2):
        with lab.opened() as store:
            assert set(store.allowed()) == set(PREFIXES)


def test_a_file_from_before_is_taken_over(lab):
    """With all that it says; it becomes one of ours."""
    with lab.opened() as store:
        held = lab.hold(store)
    execute(lab, "DROP TABLE allowed", "PRAGMA user_version = 2")
    with lab.killed() as store:
        assert (list(store.live()), list(store.allowed()), store.memory_lost) == ([held], [], False)
        allow(store)
    with closing(sqlite3.connect(lab.path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchall() == [(VERSION,)]
    with lab.opened() as store:
        assert set(store.allowed()) == set(PREFIXES)


def test_a_renewed_file_has_them(lab):
    """A disk that failed and works again: what is written then is everything."""
    with lab.opened() as store:
        allow(store)
        store._file.give_up()
        lab.host.clock.advance(61)
        lab.hold(store)
    with lab.opened() as store:
        assert set(store.allowed()) == set(PREFIXES)


def test_a_row_too_many_is_noticed(lab):
    """The sum over all rows has them in it: nobody slips a prefix in by mistake."""
    with lab.opened() as store:
        allow(store)
    execute(lab, "INSERT INTO allowed VALUES (x'00000000', 0)")
    with lab.opened() as store:
        assert (store.memory_lost, list(store.allowed())) == (True, [])
    assert any("not those that were written" in said for said in lab.said)


@pytest.mark.parametrize(
    "row", [("10.0.0.0", 8), (b"\n\0\0", 8), (b"\n\0\0\0", 33), (b"\n\0\0\1", 8), (None, 8)]
)
def test_nonsense_is_refused(row):
    """A row that no spale would write."""
    with pytest.raises((TypeError, ValueError)):
        rows.allowed(row)
