# SPDX-License-Identifier: MIT
"""The kernel's notices about interfaces are one word, "look again", however many there are."""

from __future__ import annotations

import selectors
from contextlib import closing

import pytest

from spale_core.demo.poll import until
from spale_core.demo.stage import Namespace
from spale_core.monitor.links import LinkNotices

pytestmark = pytest.mark.kernel

MANY = 600
"""More notices than a socket has room for: some are lost, and the kernel says ENOBUFS."""
DEADLINE_S = 10


class Hall:
    """A namespace whose links change, and who looks."""

    def __init__(self, namespace):
        """Watch the namespace's links."""
        self.namespace = namespace
        self.selector = selectors.DefaultSelector()
        with namespace.inside():
            self.links = LinkNotices(self.selector)
        self.links.begin()
        self.looks = 0

    def rush(self, times=1):
        """Let links change so often."""
        for number in range(times):
            self.namespace._netlink.link("set", index=1, state=("down", "up")[number % 2])

    def look(self):
        """Count."""
        self.looks += 1

    def turn(self):
        """Go round the loop once, as the daemon does."""
        for key, _ in self.selector.select(self.links.due_in_s() or 0):
            assert key.data is self.links
            self.links.noticed()
        self.links.turn(self.look)

    def close(self):
        """Watch no more."""
        self.links.close()
        self.selector.close()


@pytest.fixture
def hall():
    """Return a hall in which nothing has changed."""
    with closing(Namespace()) as namespace, closing(Hall(namespace)) as made:
        yield made


def test_nothing_is_no_reason_to_look(hall):
    """Nor is there anything to wait for."""
    hall.turn()
    assert (hall.looks, hall.links.due_in_s()) == (0, None)


def test_a_change_is_looked_at_in_the_same_turn(hall):
    """The first one, at once."""
    hall.rush()
    hall.turn()
    assert hall.looks == 1


def test_a_flood_is_one_look_and_then_a_pause(hall):
    """Also where notices were lost; what comes in the pause is looked at after it, and wakes nobody."""
    hall.rush(MANY)
    hall.turn()
    assert hall.looks == 1
    assert until(lambda: hall.turn() or hall.looks >= 2 or not hall.selector.select(0), DEADLINE_S)
    looked = hall.looks
    hall.links._not_before_s += DEADLINE_S
    hall.rush(MANY)
    hall.turn()
    assert hall.looks == looked
    assert 0 < hall.links.due_in_s() <= DEADLINE_S
    assert hall.selector.select(0) == []
    hall.links._not_before_s = 0.0
    hall.turn()
    assert hall.looks == looked + 1
