# SPDX-License-Identifier: MIT
"""The packet table once more, as real packets on real devices: what BPF_PROG_TEST_RUN cannot make.

Headers outside the linear part of an skb, tags that the kernel takes out of the frame, devices without an
Ethernet header.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import packets as p
import pytest
import rows_grants
import rows_headers
import rows_sessions
import rows_sources
import rows_spa
import rows_v1
import table
from packets import SYN
from table import TCP_PORT, Row
from wire import Layout, Wire

from spale_bpf._abi import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.kernel

CANDIDATES = (
    *rows_grants.ROWS,
    *rows_headers.ROWS,
    *rows_sessions.ROWS,
    *rows_sources.ROWS,
    *rows_spa.ROWS,
    *rows_v1.ROWS,
)

# A tag more than BPF_PROG_TEST_RUN's: the kernel has taken the outermost out before the program runs, and
# drops a frame that ends inside it. Grants for a link-local source name the loopback device.
DIFFERENT = ("vlan-3", "link-local", *(f"vlan-{tag}-cut" for tag in ("8100", "88a8")))
ROWS = tuple(row for row in CANDIDATES if not row.name.startswith(DIFFERENT))


# A paged packet has bytes behind it, so a row that counts them is not for it.
CASES = [
    pytest.param(layout, row, id=f"{layout.name.lower()}-{row.name}")
    for layout in Layout
    for row in ROWS
    if layout.entry in row.how and layout.takes(row.frame) and not (row.exact and layout is Layout.TAP_PAGED)
]


@pytest.fixture(scope="module")
def wires() -> Iterator[dict[Layout, Wire]]:
    """Return a device of each kind."""
    with ExitStack() as stack:
        yield {layout: stack.enter_context(Wire(layout)) for layout in Layout}


@pytest.fixture(scope="module")
def tap() -> Iterator[Wire]:
    """Return an Ethernet device."""
    with Wire(Layout.TAP_LINEAR) as made:
        yield made


@pytest.mark.parametrize(("layout", "row"), CASES)
def test_verdict_and_reason(wires: dict[Layout, Wire], layout: Layout, row: Row) -> None:
    """A real packet gets the verdict of its row, wherever its bytes lie."""
    table.check(row, wires[layout])


@pytest.mark.parametrize("family", table.FAMILIES)
def test_three_tags_are_two_beyond_the_hardwares(tap: Wire, family: int) -> None:
    """The tag that the kernel keeps beside the frame does not count: three are read, four are too many."""
    packet = table.frame(family, p.tcp(TCP_PORT, SYN), p.TCP)[14:]
    ethertype = p.ETH_IPV4 if family == 4 else p.ETH_IPV6
    for vid in (0, 5):
        three = p.ethernet(packet, ethertype, tags=(p.ETH_8021AD, p.ETH_8021Q, p.ETH_8021Q), vid=vid)
        table.check(Row("three", three, Reason.NO_GRANT), tap)
        four = p.ethernet(packet, ethertype, tags=(p.ETH_8021Q,) * 4, vid=vid)
        table.check(Row("four", four, Reason.VLAN_DEPTH), tap)


def test_link_local_grant_names_the_interface(tap: Wire) -> None:
    """A link-local source is let in by the grant for the interface that it came in on, and by no other."""
    frame = rows_sources.from6("fe80::2")
    here = table.granted(p.TCP, TCP_PORT, table.live, "fe80::2", tap.ifindex)
    elsewhere = table.granted(p.TCP, TCP_PORT, table.live, "fe80::2", tap.ifindex + 1)
    table.check(Row("here", frame, None, (here,), extends=True), tap)
    scoped = p.packed("fe80::")[:4] + tap.ifindex.to_bytes(4, "big") + p.packed("::2")[8:]
    table.check(Row("elsewhere", frame, Reason.NO_GRANT, (elsewhere,), source=scoped), tap)
