# SPDX-License-Identifier: MIT
"""The union of grants is what each of them would do, at every moment."""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from spale_core import policy
from spale_core.model import NEVER_NS, Grant, Protocol, Service, Source
from spale_core.testing.fakes import Packet, judge

NOW = 1000
WINDOWS = st.integers(0, 300) | st.just(NEVER_NS)
GRANTS = st.builds(
    Grant,
    source=st.just(Source(ip_address("192.0.2.7"))),
    service=st.just(Service(Protocol.TCP, 22)),
    last_ns=st.integers(-300, NOW),
    idle_ns=WINDOWS,
    grace_ns=WINDOWS,
    end_ns=st.integers(NOW + 1, NOW + 300) | st.just(NEVER_NS),
)
SHARES = st.lists(GRANTS.filter(lambda grant: grant.dead_ns > NOW), min_size=1, max_size=4)


@given(SHARES, st.integers(NOW, NOW + 700), st.sampled_from(Packet))
def test_a_packet_meets_the_union_as_it_would_meet_the_best(shares, at_ns, packet):
    """It passes by the union if and only if it would pass by one of the shares."""
    passes = any(judge(share, packet, at_ns) is None for share in shares)
    assert (judge(policy.union(shares), packet, at_ns) is None) == passes


@given(SHARES)
def test_the_union_dies_with_the_last(shares):
    """It is DEAD from the moment on at which the last share is."""
    assert policy.union(shares).dead_ns == max(share.dead_ns for share in shares)
