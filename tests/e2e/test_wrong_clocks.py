# SPDX-License-Identifier: MIT
"""Clocks that differ, and a server that has lost its memory."""

from __future__ import annotations

import calendar
import time

import pytest
from house import LOG_S

from spale_core.demo.poll import until
from spale_core.model import EPOCH_S


def _wait_for_phase(earliest_s, latest_s):
    """Wait until the server's clock is that far into an epoch; its tags depend on it."""
    assert until(lambda: earliest_s <= time.time() % EPOCH_S <= latest_s, EPOCH_S + 1)


@pytest.mark.parametrize("late_s", [29, -29], ids=["behind", "ahead"])
def test_a_clock_29_s_off_opens(guarded, family, late_s):
    """A client whose clock is 29 s behind or ahead gets in."""
    guest = guarded.guest(family)

    def gets_in():
        guarded.send(guest, guarded.datagram("anna", guest, late_s=late_s))
        return until(lambda: guarded.daemon.events("granted", source=str(guest)), 1)

    assert until(gets_in, LOG_S), "one that takes a second on its way is late by 30"
    assert guarded.all_open([guest])


@pytest.mark.parametrize("late_s", [31, -31], ids=["behind", "ahead"])
def test_a_clock_31_s_off_is_refused(guarded, family, late_s):
    """A clock 31 s behind or ahead is refused: for its time, as in mid-epoch the tag is known."""
    # A client of its own: what others are remembered for would make an old time a replay first.
    guest = guarded.guest(family)
    _wait_for_phase(2, 27)
    with guarded.refuses("skew", 1, guest):
        guarded.send(guest, guarded.datagram("tardy", guest, late_s=late_s))
    assert guarded.all_shut([guest])


def test_an_epoch_further_off_is_dropped_in_the_kernel(guarded, family):
    """A clock more than two epochs behind makes tags that the kernel does not take."""
    guest = guarded.guest(family)
    before = [guarded.refusals(reason)[1] for reason in ("unknown_tag", "stale_tag")]
    guarded.send(guest, guarded.datagram("anna", guest, late_s=2.5 * EPOCH_S))
    assert until(
        lambda: [guarded.refusals(reason)[1] for reason in ("unknown_tag", "stale_tag")] != before, LOG_S
    )
    assert guarded.all_shut([guest])


def test_with_memory_lost_an_unbound_knock_must_wait(tc_house):
    """Until start + MAX_SKEW_SEC an unbound knock is refused, as it may be a replay; after that it opens."""
    guests = tc_house.guests()
    ready = tc_house.guard(MAX_SKEW_SEC=5)
    with tc_house.refuses("memory_lost", len(guests), guests[-1]):
        for guest in guests:
            tc_house.send(guest, tc_house.datagram("anna"))
    assert tc_house.all_shut(guests)
    good_from = calendar.timegm(time.strptime(ready["unbound_until"], "%Y-%m-%dT%H:%M:%SZ")) + 1
    assert until(lambda: time.time() > good_from, 10)
    for guest in guests:
        tc_house.knock("anna", guest, bind="off")
        tc_house.daemon.wait_for("granted", timeout_s=LOG_S, source=str(guest))
    assert tc_house.all_open(guests)


def test_with_memory_lost_a_datagram_of_before_the_start_is_refused(tc_house, family):
    """A bound datagram that an earlier daemon has honoured opens nothing at the next one."""
    tc_house.guard(STORE="memory")
    guest = tc_house.guest(family)
    payload = tc_house.datagram("anna", guest)
    tc_house.send(guest, payload)
    tc_house.daemon.wait_for("granted", timeout_s=LOG_S, source=str(guest))
    tc_house.daemon.stop()
    tc_house.guard(STORE="memory")
    with tc_house.refuses("memory_lost", 1, guest):
        tc_house.send(guest, payload)
    assert tc_house.all_shut([guest])
