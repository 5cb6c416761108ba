# SPDX-License-Identifier: MIT
"""What the log says of attachments that were lost: each one, once, and those that stay lost once a minute."""

from __future__ import annotations

import pytest
from attrs import evolve

from spale_core.events import Level
from spale_core.log import Log
from spale_core.model import Attachment, AttachMode, Loss, Outcome
from spale_core.monitor.watch import AttachmentWatch
from spale_core.testing import FakeClock

BACK = Loss("eth0", 2, "nothing", Outcome.PUT_BACK)
STUCK = Loss("eth0", 2, "xdp_balancer (program 7) native", Outcome.FAILED, "it is not ours")
RELEASED = Loss("eth0", 2, "nothing", Outcome.RELEASED)
GONE = Loss("eth0", 2, "no such interface", Outcome.GONE)
THERE = frozenset({2, 3})


class Post:
    """A watch with its clock and what it wrote."""

    def __init__(self):
        """Begin with everything in order."""
        self.clock = FakeClock()
        self.lines = []
        log = Log(lambda level, line: self.lines.append((level, line)), self.clock, "debug")
        self.watch = AttachmentWatch(log, self.clock)

    def sweep(self, *losses, there=THERE):
        """Let five seconds pass, tell it what was lost, and return the lines that this gave."""
        self.clock.advance(5)
        self.lines.clear()
        self.watch.tell(losses)
        self.watch.settle(losses, there)
        return list(self.lines)


@pytest.fixture
def post():
    """Return a watch at its post."""
    return Post()


def test_order_is_not_worth_a_word(post):
    """Where nothing is lost, nothing is said."""
    assert post.sweep() == []


def test_what_was_put_back_is_said_each_time_and_counted(post):
    """A warning with the interface, what was there instead, and how often that has happened."""
    for count in (1, 2, 3):
        line = f"attachment_lost interface=eth0 found=nothing put_back=yes count={count}"
        assert post.sweep(BACK) == [(Level.WARNING, line)]
    assert post.watch.losses == {"eth0": 3}


def test_what_cannot_be_put_back_is_said_once_a_minute(post):
    """An error at once, and again every minute for as long as it lasts; it counts as one loss."""
    line = (
        'attachment_lost interface=eth0 found="xdp_balancer (program 7) native" put_back=no count=1'
        ' note="it is not ours"'
    )
    said = [post.sweep(STUCK) for _ in range(25)]
    assert [number for number, lines in enumerate(said) if lines] == [0, 12, 24]
    assert {tuple(lines) for lines in said if lines} == {((Level.ERROR, line),)}
    assert post.watch.losses == {"eth0": 1}
    assert post.watch.missing == {"eth0"}


def test_another_reason_is_said_at_once(post):
    """Who waits for the minute to end would not see what has changed."""
    post.sweep(STUCK)
    assert [line for _, line in post.sweep(evolve(STUCK, found="nothing", note=""))] == [
        "attachment_lost interface=eth0 found=nothing put_back=no count=1"
    ]


def test_the_end_of_a_loss_is_said(post):
    """Put back after all: the same loss, no new one. In order by itself: that is said, too."""
    post.sweep(STUCK)
    line = "attachment_lost interface=eth0 found=nothing put_back=yes count=1"
    assert post.sweep(BACK) == [(Level.WARNING, line)]
    assert post.sweep() == []
    post.sweep(STUCK)
    assert post.sweep() == [(Level.NOTICE, "attachment_back interface=eth0")]
    assert post.sweep() == []
    assert post.watch.losses == {"eth0": 2}


def test_a_release_is_a_detach(post):
    """What was taken off on purpose is no error."""
    assert post.sweep(RELEASED) == [(Level.NOTICE, "detach interface=eth0")]


def test_what_is_gone_was_taken_off_by_nobody(post):
    """A warning, once; nor is it in order again because nobody can look at it any more."""
    gone = [(Level.WARNING, "interface_gone interface=eth0")]
    assert post.sweep(GONE) == gone
    post.sweep(STUCK)
    assert post.sweep(GONE) == gone
    post.sweep(STUCK)
    assert post.sweep(there=()) == gone
    assert post.sweep() == []
    assert post.watch.losses == {"eth0": 2}


def test_what_has_come_is_said(post):
    """Like an attachment at the start; whatever kept us from it is over."""
    post.sweep(STUCK)
    post.lines.clear()
    post.watch.attached(Attachment("eth0", 2, AttachMode.TCX))
    assert post.lines == [(Level.NOTICE, "attach interface=eth0 mode=tcx replaced=no")]
    assert post.sweep() == []


def test_interfaces_are_told_apart(post):
    """One that cannot be put back does not hide another one that was, whatever they are called."""
    other = Loss("eth1", 3, "nothing", Outcome.PUT_BACK)
    post.sweep(STUCK, other)
    assert [line for _, line in post.sweep(STUCK, other)] == [
        "attachment_lost interface=eth1 found=nothing put_back=yes count=2"
    ]
    lines = post.sweep(evolve(STUCK, ifindex=9))
    assert [line.partition(" ")[0] for _, line in lines] == ["attachment_lost", "attachment_back"]


def test_a_look_that_failed_settles_nothing(post):
    """Where nothing could be looked at, what was known is still known."""
    post.sweep(STUCK)
    post.lines.clear()
    post.watch.tell(())
    assert post.lines == []
    assert post.sweep(STUCK) == []
