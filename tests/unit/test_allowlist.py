# SPDX-License-Identifier: MIT
"""What needs no knock is what the configuration and an administrator say together."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from office import HERE, Office

from spale_core import allowlist
from spale_core.allowlist import Allowlist
from spale_core.errors import DataError, DataplaneError, StoreError

HOME, OFFICE, HOST = (ip_network(text) for text in ("10.0.0.0/8", "192.0.2.0/24", "192.0.2.7/32"))


class Picky:
    """A dataplane that can refuse."""

    refuses = False
    calls = 0
    prefixes = frozenset()

    def set_always_allow(self, prefixes):
        """Take them, or not."""
        self.calls += 1
        if self.refuses:
            raise DataplaneError("no room")
        self.prefixes = frozenset(prefixes)


@pytest.fixture
def office():
    """Return an office."""
    return Office()


@pytest.fixture
def picky():
    """Return a dataplane."""
    return Picky()


def test_both_sides_are_in_the_kernel(office):
    """Each prefix once, whoever named it; told again only if something is new."""
    made = Allowlist([HOME], office.store, picky := Picky())
    made.fill()
    made.add(OFFICE)
    made.add(OFFICE)
    assert (picky.prefixes, picky.calls) == ({HOME, OFFICE}, 2)
    assert list(made.by_hand()) == [OFFICE]
    made.delete(OFFICE)
    assert (picky.prefixes, list(made.by_hand())) == ({HOME}, [])


def test_the_next_configuration_has_what_was_added(office, picky):
    """A reload and a restart; the configuration may have come to name it, too."""
    Allowlist([HOME], office.store, Picky()).add(OFFICE)
    again = Allowlist([HOME, OFFICE], office.store, picky)
    again.fill()
    assert (picky.prefixes, list(again.by_hand())) == ({HOME, OFFICE}, [])
    assert list(Allowlist([HOME], office.store, picky).by_hand()) == [OFFICE]


def test_what_comes_while_the_next_one_is_made(office, picky):
    """Is there when that one takes over."""
    current, new = (Allowlist([HOME], office.store, each) for each in (Picky(), picky))
    new.fill()
    current.add(OFFICE)
    new.fill()
    assert picky.prefixes == {HOME, OFFICE}


def test_only_what_was_added_can_be_deleted(office, picky):
    """What is said where it comes from, or that it is not there; a prefix inside another one is not it."""
    made = Allowlist([HOME], office.store, picky)
    with pytest.raises(DataError, match="comes from ALWAYS_ALLOW; remove it there and reload"):
        made.delete(HOME)
    made.add(OFFICE)
    with pytest.raises(DataError, match=r"192.0.2.7/32 is not in the list"):
        made.delete(HOST)
    assert picky.prefixes == {HOME, OFFICE}


def test_a_full_list(office, picky, monkeypatch):
    """Takes no more, but what it has."""
    monkeypatch.setattr(allowlist, "MAX_PREFIXES", 2)
    made = Allowlist([HOME], office.store, picky)
    made.add(OFFICE)
    with pytest.raises(DataError, match="no more fit"):
        made.add(HOST)
    made.add(OFFICE)
    made.add(HOME)
    assert picky.prefixes == {HOME, OFFICE}


def test_a_kernel_that_refuses(office, picky):
    """Nothing is remembered that it does not have, and nothing forgotten that it has."""
    made = Allowlist([HOME], office.store, picky)
    made.add(OFFICE)
    picky.refuses = True
    for act, prefix in ((made.add, HOST), (made.delete, OFFICE)):
        with pytest.raises(DataplaneError):
            act(prefix)
    assert (picky.prefixes, list(made.by_hand())) == ({HOME, OFFICE}, [OFFICE])


def test_a_store_that_fails(office, picky):
    """Lets nobody in that would be shut out by a restart."""
    made = Allowlist([HOME], office.store, picky)
    made.fill()
    office.store.fails = True
    with pytest.raises(StoreError):
        made.add(OFFICE)
    assert picky.prefixes == {HOME}


def test_it_lets_in(office):
    """In the rule for packets."""
    made = Allowlist([], office.store, office.dataplane)
    made.fill()
    assert not office.receive(HERE)
    made.add(OFFICE)
    assert office.receive(HERE)
    made.delete(OFFICE)
    assert not office.receive(HERE)
