# SPDX-License-Identifier: MIT
"""The time of a claim of version 1: a step of half a minute, of which the claim has the end."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from attrs import evolve
from office import ALICE, BOB, SETTINGS, Office

from spale_core import gate
from spale_core.clock import read
from spale_core.model import Claim, Moment, Reason, Source
from spale_core.reconcile import Reconciler

STEP_MS = 30_000
STEP = 56_666_666
BEGIN_MS = STEP * STEP_MS
CLIENTS = evolve(SETTINGS, clients=(evolve(ALICE, auth="hpke-v1"), BOB))


def claim(step: int) -> Claim:
    """Return what a v1 authenticator makes of a datagram of `step`."""
    source = Source(ip_address("192.0.2.7"))
    return Claim(0, bytes(32), (step + 1) * STEP_MS, source, False, frozenset(), 0)  # noqa: FBT003 - in order


def at(unix_ms: int) -> Moment:
    """Return a moment of the wall clock."""
    return Moment(50_000_000_000, unix_ms)


@pytest.mark.parametrize("into_ms", [0, 1, 15_000, STEP_MS - 1])
@pytest.mark.parametrize(("off", "refused"), [(-2, True), (-1, False), (0, False), (1, False), (2, True)])
@pytest.mark.parametrize("skew_s", [30, 120])
def test_the_neighbours_of_this_step_are_good(into_ms: int, off: int, skew_s: int, *, refused: bool) -> None:
    """The previous, the current and the next, at every moment of it; more skew does not mean more steps."""
    answer = gate.check_time(claim(STEP + off), at(BEGIN_MS + into_ms), skew_s, v1=True)
    assert (answer is not None) == refused


@pytest.mark.parametrize(
    ("into_ms", "off", "refused"),
    [(4_999, -1, False), (5_000, -1, True), (STEP_MS - 5_001, 1, True), (STEP_MS - 5_000, 1, False)],
)
def test_less_skew_leaves_less_of_the_neighbours(into_ms: int, off: int, *, refused: bool) -> None:
    """With MAX_SKEW_SEC=5 a neighbour is good in the 5 seconds next to it."""
    answer = gate.check_time(claim(STEP + off), at(BEGIN_MS + into_ms), 5, v1=True)
    assert (answer is not None) == refused


def test_by_how_much() -> None:
    """From the nearer end of the step."""
    for step, words in ((STEP + 2, "50.000 s ahead"), (STEP - 2, "40.000 s behind")):
        refused = gate.check_time(claim(step), at(BEGIN_MS + 10_000), 30, v1=True)
        assert refused is not None
        assert (refused.reason, refused.detail) == (Reason.SKEW, words)


@pytest.mark.parametrize("skew_s", [5, 30, 120])
def test_what_may_have_been_used_before_a_loss(skew_s: int) -> None:
    """Whatever was good at any moment up to the loss is refused after it; soon steps are good again."""
    for lost_ms in (BEGIN_MS, BEGIN_MS + 1, BEGIN_MS + STEP_MS - 1):
        steps = range(STEP - 6, STEP + 7)
        was_good = {
            step for step in steps if gate.check_time(claim(step), at(lost_ms), skew_s, v1=True) is None
        }
        refused = {step for step in steps if gate.check_memory(claim(step), lost_ms, skew_s, v1=True)}
        assert was_good <= refused
        assert max(refused) <= STEP + max(2, skew_s // 30)


def test_a_datagram_of_this_half_minute_is_granted_once() -> None:
    """The monitor judges by its own configuration who speaks version 1, and remembers `enc`."""
    office = Office(CLIENTS)
    now_ms = office.clock.unix_ms()
    ends = [(now_ms // STEP_MS + off) * STEP_MS for off in range(-1, 4)]
    claims = [office.claim(bound=False, unix_ms=end) for end in ends]
    assert [office.reason(each) for each in claims] == [Reason.SKEW, None, None, None, Reason.SKEW]
    assert {office.reason(each) for each in claims} == {Reason.REPLAY}


def test_a_client_of_version_2_has_no_steps() -> None:
    """Its time is exact, whatever a listener claims."""
    office = Office(CLIENTS)
    late = office.claim(client=1, bound=False, unix_ms=office.clock.unix_ms() + 30_001)
    assert office.reason(late) is Reason.SKEW


def test_a_lost_memory_says_how_long() -> None:
    """Where a client speaks version 1 it is a step longer until all are taken again."""
    office = Office(CLIENTS)
    start = read(office.clock)
    office.reconciler = Reconciler(CLIENTS, office.store, office.dataplane, start)
    until_ms = office.reconciler.unbound_until_unix_ms
    assert until_ms == start.unix_ms + 60_000
    end_ms = (start.unix_ms // STEP_MS + 1) * STEP_MS
    assert office.reason(office.claim(bound=False, unix_ms=end_ms)) is Reason.MEMORY_LOST
    office.clock.advance(60)
    end_ms = (office.clock.unix_ms() // STEP_MS + 1) * STEP_MS
    assert office.reason(office.claim(bound=False, unix_ms=end_ms)) is None
