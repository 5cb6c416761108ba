# SPDX-License-Identifier: MIT
"""The lanes are what they say: without this the table of frames would prove less than it seems to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from frame_table import Row, plain
from lane import DOOR, Lane
from lanes import CustomerTagLane, RingLane
from listeners import OPEN
from packets import UDP
from senders import demand_nothing_linear, demand_tag
from ways import Fate

if TYPE_CHECKING:
    from collections.abc import Callable

    from spale_core.demo.stage import Namespace

pytestmark = pytest.mark.kernel

PLAIN = Row("plain", 4, UDP, plain)


def test_the_ring_leaves_only_the_ethernet_header_in_the_linear_part() -> None:
    """What comes by the ring passes a program that drops every packet with a byte of IP in direct reach."""
    with RingLane() as lane:
        demand_nothing_linear(lane.server, DOOR)
        assert lane.probe(PLAIN, OPEN).fate is Fate.TAKEN


def test_the_tag_is_beside_the_frame() -> None:
    """What comes with a tag beside it passes a program that drops every packet without one."""
    with CustomerTagLane() as lane:
        demand_tag(lane.server, DOOR)
        assert lane.probe(PLAIN, OPEN).fate is Fate.TAKEN


@pytest.mark.parametrize("demand", [demand_nothing_linear, demand_tag])
def test_a_copied_frame_is_neither(demand: Callable[[Namespace, str], None]) -> None:
    """On the plain lane such a program lets nothing pass."""
    with Lane() as lane:
        assert lane.probe(PLAIN, OPEN).fate is Fate.TAKEN
        demand(lane.server, DOOR)
        lane.patience_s = 0.3
        with pytest.raises(AssertionError, match="echo"):
            lane.probe(PLAIN, OPEN)
