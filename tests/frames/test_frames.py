# SPDX-License-Identifier: MIT
"""Nothing slips by (spec.md, "Fail closed"): real frames at real listeners, by every enforcer."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import frames_beside
import frames_ipv4
import frames_ipv6
import frames_layer2
import frames_spa
import frames_transport
import pytest
from guards import ENFORCERS
from lane import Fate
from lanes import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from frame_table import Row
    from lane import Lane

pytestmark = pytest.mark.kernel

EVERYTHING = tuple(
    row
    for table in (frames_ipv4, frames_ipv6, frames_layer2, frames_transport, frames_spa)
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
    "bridge": SOME,
    "macvlan": SOME,
    "new-mac": SOME,
}


def _bare() -> Iterator[object]:
    """Return every row with each kind of lane on which it can differ what the host itself does."""
    for kind in KINDS:
        if kind not in {
            "ring",
            "new-mac",
        }:  # the one differs for our programs only, the other from the guard on
            yield from (pytest.param(kind, row, id=f"{kind}-{row}") for row in ROWS[kind])


def _guarded() -> Iterator[object]:
    for kind, enforcer in itertools.product(KINDS, ENFORCERS):
        if kind != "tun" or enforcer == "tc":
            name = f"{kind}-{enforcer}"
            yield from (pytest.param((kind, enforcer), row, id=f"{name}-{row}") for row in ROWS[kind])


@pytest.mark.parametrize(("bare", "row"), list(_bare()), indirect=["bare"])
def test_what_the_host_itself_does(row: Row, bare: Lane) -> None:
    """Without a guard the host does with a probe what its row says, whatever the port."""
    assert [bare.probe(row, port).fate for port in row.ports] == [row.fate] * 2


@pytest.mark.parametrize(("guarded", "row"), list(_guarded()), indirect=["guarded"])
def test_nothing_slips_by(row: Row, guarded: Lane) -> None:
    """A stranger's probe of a protected port moves nobody; that of an open one does what it did before."""
    protected, open_ = row.ports
    before = guarded.dropped()
    seen = guarded.probe(row, protected)
    assert seen.fate is Fate.IGNORED, seen
    assert row.fate is Fate.IGNORED or guarded.dropped() > before, "it was not spale that dropped it"
    assert guarded.probe(row, open_).fate is (Fate.IGNORED if guarded.hook in row.unread else row.fate)
