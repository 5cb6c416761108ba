# SPDX-License-Identifier: MIT
"""A session lets its connection live on, and nothing else: no new one, however its SYN is wrapped."""

from __future__ import annotations

import time
from ipaddress import ip_address
from typing import TYPE_CHECKING

import frames_ipv4
import frames_ipv6
import frames_layer2
import packets as p
import pytest
from frame_table import FAMILIES, Row, framed, segment
from guards import ENFORCERS
from lane import Lane
from listeners import PROTECTED
from packets import ACK, RST, TCP
from ways import Fate

from spale_core.model import Protocol, Service, Session, Source

if TYPE_CHECKING:
    from ways import Way

pytestmark = pytest.mark.kernel

SYNS = tuple(
    row
    for table in (frames_ipv4, frames_ipv6, frames_layer2)
    for row in table.ROWS
    if row.protocol == TCP and row.source is None and row.destination is None
)


def _open_session(lane: Lane, way: Way) -> None:
    now_ns = time.monotonic_ns()
    service = Service(Protocol.TCP, way.port)
    addresses = (Source(ip_address(way.source)), service, ip_address(way.destination))
    lane.dataplane.put_sessions([Session(*addresses, p.SOURCE_PORT, now_ns, now_ns)])


@pytest.mark.parametrize("enforcer", ENFORCERS)
def test_no_syn_slips_by_in_the_shadow_of_a_session(enforcer: str) -> None:
    """With a session on its very addresses and ports, but no grant, every SYN of the table is dropped."""
    seen = {}
    with Lane() as lane:
        lane.guard(enforcer)
        for row in SYNS:
            way = lane.way(row, PROTECTED)
            _open_session(lane, way)
            seen[str(row)] = lane.probe_by(row, way)
    assert {name: what for name, what in seen.items() if what.fate is not Fate.IGNORED} == {}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("enforcer", ENFORCERS)
def test_what_a_session_lets_in(enforcer: str, family: int) -> None:
    """An ACK on those addresses and ports reaches the host, which resets what it knows nothing of."""
    row = Row("ack", family, TCP, lambda way: [framed(way, segment(way, ACK))])
    with Lane() as lane:
        lane.guard(enforcer)
        way = lane.way(row, PROTECTED)
        assert lane.probe_by(row, way).fate is Fate.IGNORED
        _open_session(lane, way)
        (answer,) = lane.probe_by(row, way).answers
    assert answer[-7] & RST
