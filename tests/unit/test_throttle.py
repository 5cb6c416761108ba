# SPDX-License-Identifier: MIT
"""One report per reason and second, and nothing is lost from the count."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from spale_core.engine import merge_refused
from spale_core.model import Reason, Refused, Source
from spale_core.throttle import MOST, Throttle

S = 1_000_000_000
FIRST, SECOND = (Source(ip_address(f"192.0.2.{host}")) for host in (1, 2))


@pytest.fixture
def throttle():
    """Return a throttle of refusals."""
    return Throttle(merge_refused, lambda refused: refused.reason)


def test_the_first_is_told_at_once(throttle):
    """Nobody waits a second to see what he has just tried out."""
    report = Refused(Reason.SKEW, FIRST)
    assert throttle.offer(report, 0) is report


def test_the_rest_of_the_second_is_summed_up(throttle):
    """Later ones come as one, with the last one's names, when the second is over."""
    throttle.offer(Refused(Reason.SKEW, FIRST), 0)
    assert throttle.offer(Refused(Reason.SKEW, FIRST, count=2), S // 2) is None
    assert throttle.offer(Refused(Reason.SKEW, SECOND), S - 1) is None
    assert throttle.due(S - 1) == []
    assert throttle.due(S) == [Refused(Reason.SKEW, SECOND, count=3)]
    assert throttle.due(3 * S) == []


def test_a_late_one_takes_the_held_ones_along(throttle):
    """If nobody asked meanwhile, the next report has the count of all."""
    throttle.offer(Refused(Reason.SKEW, FIRST), 0)
    throttle.offer(Refused(Reason.SKEW, FIRST), 1)
    assert throttle.offer(Refused(Reason.SKEW, SECOND), 2 * S) == Refused(Reason.SKEW, SECOND, count=2)


def test_reasons_do_not_hold_each_other_back(throttle):
    """Each reason has its own second."""
    throttle.offer(Refused(Reason.SKEW, FIRST), 0)
    assert throttle.offer(Refused(Reason.REPLAY, FIRST), 0) is not None


def test_nothing_is_lost_at_the_end(throttle):
    """`flush` hands over what was held back, once."""
    throttle.offer(Refused(Reason.SKEW, FIRST), 0)
    throttle.offer(Refused(Reason.SKEW, FIRST), 1)
    assert throttle.flush() == [Refused(Reason.SKEW, FIRST)]
    assert throttle.flush() == []


def test_too_many_reasons_are_one():
    """Nobody fills the memory with reasons; those of earlier seconds are forgotten."""
    throttle = Throttle(lambda held, new: held + new, lambda _report: next(numbers))
    numbers = iter(range(10 * MOST))
    shown = [throttle.offer(1, 0) for _ in range(5 * MOST)]
    assert shown.count(1) == MOST + 1
    assert throttle.flush() == [4 * MOST - 1]
    assert throttle.offer(1, S) == 1
    assert len(throttle._shown_ns) == 1
