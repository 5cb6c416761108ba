# SPDX-License-Identifier: MIT
"""What the host itself unpacks behind our programs is not covered (docs/threat-model.md): the gap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from frame_table import PROTOCOLS, Row, framed, packet, segment
from frames_ipv6 import SERVER, routing
from guards import ENFORCERS
from lane import Lane
from packets import ROUTING
from ways import Fate

if TYPE_CHECKING:
    from ways import Way

pytestmark = pytest.mark.kernel

IPV6_IN_IPV6 = 41


def _segment_routed(way: Way) -> list[bytes]:
    """Return a probe in an IPv6 packet whose segment routing header ends here (RFC 8754 section 4.3.1.2)."""
    body = routing(4, 0, SERVER)
    header = bytes((IPV6_IN_IPV6, (len(body) + 2) // 8 - 1)) + body
    return [framed(way, header + packet(way, segment(way)), ROUTING)]


@pytest.mark.xfail(strict=True, reason="with seg6_enabled=1 Linux unpacks it, and shows it to nobody again")
@pytest.mark.parametrize("enforcer", ENFORCERS)
def test_a_packet_in_a_segment_routed_packet(enforcer: str) -> None:
    """A host told to end segment routes unpacks what no program of ours has looked into."""
    with Lane() as lane:
        lane.guard(enforcer)
        fates = [lane.probe(Row("srh", 6, protocol, _segment_routed), 22).fate for protocol in PROTOCOLS]
    assert fates == [Fate.IGNORED] * 2
