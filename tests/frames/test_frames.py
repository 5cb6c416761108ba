# SPDX-License-Identifier: MIT
"""Nothing slips by (spec.md, "Fail closed"): real frames at real listeners, by every enforcer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import frames_beside
import frames_ipv4
import frames_ipv6
import frames_jumbo
import frames_layer2
import frames_nested
import frames_spa
import frames_transport
import pytest
from guards import ENFORCERS
from lanes import KINDS
from ways import Fate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from frame_table import Row
    from lane import Lane

pytestmark = pytest.mark.kernel

EVERYTHING = tuple(
    row
    for table in (frames_ipv4, frames_ipv6, frames_nested, frames_layer2, frames_transport, frames_spa)
    for row in table.ROWS
)
SOME_NAMES = {"plain", "nop-40", "first-24", "dst-8", "nine", "vid0-8100", "vid0-8100-8100", "spa-nop"}
SOME = tuple(row for row in EVERYTHING if row.name in SOME_NAMES)

ROWS = {
    "copied": EVERYTHING,
    "ring": EVERYTHING,
    "tun": tuple(row for row in EVERYTHING if not row.layer2),
    "tag-8100": frames_beside.ROWS,
    "tag-88a8": frames_beside.ROWS,
    "jumbo": frames_jumbo.ROWS,
    "bridge": SOME,
    "on-bridge": SOME,
    "macvlan": SOME,
    "new-mac": SOME,
}

# The ring makes a difference to our programs only, and the new address comes with the guard.
BARE = tuple(kind for kind in KINDS if kind not in {"ring", "new-mac"})
CAN_BE_THERE = {"tun": ("tc",), "on-bridge": ("tc", "xdp-generic"), "copied": (*ENFORCERS, "tc-clsact")}
GUARDED = tuple((kind, enforcer) for kind in KINDS for enforcer in CAN_BE_THERE.get(kind, ENFORCERS))


@pytest.mark.parametrize("kind", BARE)
def test_what_the_host_itself_does(kind: str) -> None:
    """Without a guard the host does with every row what the row says, whatever the port."""
    with KINDS[kind]() as lane:
        fates = {str(row): [lane.probe(row, port).fate for port in row.ports] for row in ROWS[kind]}
    expected = {str(row): [row.fate] * 2 for row in ROWS[kind]}
    assert {name: fate for name, fate in fates.items() if fate != expected[name]} == {}


@pytest.mark.parametrize(("kind", "enforcer"), GUARDED, ids=map("-".join, GUARDED))
def test_nothing_slips_by(kind: str, enforcer: str) -> None:
    """A stranger's probe of a protected port moves nobody; that of an open one does what it did before."""
    with KINDS[kind]() as lane:
        lane.guard(enforcer)
        wrong = {str(row): list(_wrong(row, lane)) for row in ROWS[kind]}
    assert {name: found for name, found in wrong.items() if found} == {}


def _wrong(row: Row, lane: Lane) -> Iterator[str]:
    """Return, in words, what is not as it should be."""
    protected, open_ = row.ports
    before = lane.dropped()
    seen = lane.probe(row, protected)
    if seen.fate is not Fate.IGNORED:
        yield f"slips by: {seen}"
    if row.fate is not Fate.IGNORED and lane.dropped() == before:
        yield "it is not spale that drops it"
    if (seen := lane.probe(row, open_)).fate not in row.expected(lane.enforcer):
        yield f"at the open port: {seen}"
