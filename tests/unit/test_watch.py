# SPDX-License-Identifier: MIT
"""What the log says of attachments that were lost: each one, once, and those that stay lost once a minute."""

from __future__ import annotations

import pytest

from spale_core.errors import DataplaneError
from spale_core.events import Level
from spale_core.log import Log
from spale_core.model import Loss, Outcome
from spale_core.monitor.watch import AttachmentWatch
from spale_core.testing import FakeClock

BACK = Loss("eth0", "nothing", Outcome.PUT_BACK)
STUCK = Loss("eth0", "xdp_balancer (program 7) native", Outcome.FAILED, "it is not ours")
RELEASED = Loss("eth0", "nothing", Outcome.RELEASED)


class Scripted:
    """A dataplane that finds what it is told to."""

    losses = ()

    def ensure(self):
        """Return it."""
        if isinstance(self.losses, DataplaneError):
            raise self.losses
        return self.losses


class Post:
    """A watch with its dataplane, its clock and what it wrote."""

    def __init__(self):
        """Begin with everything in order."""
        self.clock = FakeClock()
        self.dataplane = Scripted()
        self.lines = []
        log = Log(lambda level, line: self.lines.append((level, line)), self.clock, "debug")
        self.watch = AttachmentWatch(self.dataplane, log, self.clock)

    def sweep(self, *losses):
        """Let five seconds pass, look, and return the lines that this gave, and what was released."""
        self.clock.advance(5)
        self.dataplane.losses = losses
        self.lines.clear()
        released = self.watch.look()
        return list(self.lines), released


@pytest.fixture
def post():
    """Return a watch at its post."""
    return Post()


def test_order_is_not_worth_a_word(post):
    """Where nothing is lost, nothing is said."""
    assert post.sweep() == ([], frozenset())


def test_what_was_put_back_is_said_each_time_and_counted(post):
    """A warning with the interface, what was there instead, and how often that has happened."""
    for count in (1, 2, 3):
        lines, released = post.sweep(BACK)
        line = f"attachment_lost interface=eth0 found=nothing put_back=yes count={count}"
        assert lines == [(Level.WARNING, line)]
        assert released == frozenset()
    assert post.watch.losses == {"eth0": 3}


def test_what_cannot_be_put_back_is_said_once_a_minute(post):
    """An error at once, and again every minute for as long as it lasts; it counts as one loss."""
    line = (
        'attachment_lost interface=eth0 found="xdp_balancer (program 7) native" put_back=no count=1'
        ' note="it is not ours"'
    )
    said = [post.sweep(STUCK)[0] for _ in range(25)]
    assert [number for number, lines in enumerate(said) if lines] == [0, 12, 24]
    assert {tuple(lines) for lines in said if lines} == {((Level.ERROR, line),)}
    assert post.watch.losses == {"eth0": 1}


def test_another_reason_is_said_at_once(post):
    """Who waits for the minute to end would not see what has changed."""
    post.sweep(STUCK)
    gone = Loss("eth0", "no such interface", Outcome.FAILED)
    assert [line for _, line in post.sweep(gone)[0]] == [
        'attachment_lost interface=eth0 found="no such interface" put_back=no count=1'
    ]


def test_the_end_of_a_loss_is_said(post):
    """Put back after all: the same loss, no new one. In order by itself: that is said, too."""
    post.sweep(STUCK)
    (found,), _ = post.sweep(BACK)
    assert found == (Level.WARNING, "attachment_lost interface=eth0 found=nothing put_back=yes count=1")
    assert post.sweep() == ([], frozenset())
    post.sweep(STUCK)
    assert post.sweep() == ([(Level.NOTICE, "attachment_back interface=eth0")], frozenset())
    assert post.sweep() == ([], frozenset())
    assert post.watch.losses == {"eth0": 2}


def test_a_release_is_a_detach(post):
    """What was taken off on purpose is no error, and whoever asked is told that it is not ours any more."""
    assert post.sweep(RELEASED) == ([(Level.NOTICE, "detach interface=eth0")], frozenset({"eth0"}))


def test_interfaces_are_told_apart(post):
    """One that cannot be put back does not hide another one that was."""
    other = Loss("eth1", "nothing", Outcome.PUT_BACK)
    post.sweep(STUCK, other)
    assert [line for _, line in post.sweep(STUCK, other)[0]] == [
        "attachment_lost interface=eth1 found=nothing put_back=yes count=2"
    ]


def test_a_look_that_fails_is_for_the_caller(post):
    """Where nothing could be looked at, that is an error, and what was known is still known."""
    post.sweep(STUCK)
    post.dataplane.losses = DataplaneError("no")
    with pytest.raises(DataplaneError):
        post.watch.look()
    assert post.sweep(STUCK) == ([], frozenset())
