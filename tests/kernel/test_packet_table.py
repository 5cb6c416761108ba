# SPDX-License-Identifier: MIT
"""One table of packets through every program, by BPF_PROG_TEST_RUN: one verdict, one reason."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
import rows_grants
import rows_headers
import rows_sessions
import rows_sources
import rows_spa
import rows_v1
import table
from machine import NO_FLAGS, Entry
from rig import Rig, buildable

from spale_bpf._abi import Flag, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from table import Row

pytestmark = pytest.mark.kernel

ROWS = (
    *rows_grants.ROWS,
    *rows_headers.ROWS,
    *rows_sessions.ROWS,
    *rows_sources.ROWS,
    *rows_spa.ROWS,
    *rows_v1.ROWS,
)

# What BPF_PROG_TEST_RUN cannot make has its like in test_real_frames.py.
CASES = [
    pytest.param(entry, row, id=f"{entry.name.lower()}-{row.name}")
    for entry in Entry
    for row in ROWS
    if entry in row.how and buildable(entry, row.frame)
]


@pytest.fixture(scope="module")
def rigs() -> Iterator[dict[Entry, Rig]]:
    """Return every program, loaded once."""
    with ExitStack() as stack:
        yield {entry: stack.enter_context(Rig(entry)) for entry in Entry}


@pytest.mark.parametrize(("entry", "row"), CASES)
def test_verdict_and_reason(rigs: dict[Entry, Rig], entry: Entry, row: Row) -> None:
    """A packet gets the verdict of its row, and exactly its reason is counted."""
    table.check(row, rigs[entry])


@pytest.mark.parametrize("entry", Entry)
def test_log_only_passes_all(rigs: dict[Entry, Rig], entry: Entry) -> None:
    """With LOG_ONLY every packet of the table passes, and is counted as it would have been dropped."""
    loaded = rigs[entry]
    loaded.flags = Flag.LOG_ONLY
    try:
        for row in ROWS:
            if loaded.entry in row.how and loaded.builds(row.frame):
                table.check(row, loaded)
    finally:
        loaded.flags = NO_FLAGS


def test_every_reason_has_a_row() -> None:
    """No reason for a drop is without its row; INTERNAL needs broken maps and has its own test."""
    dropped = {reason for reason in Reason if not reason.name.startswith("PASS_")}
    assert {row.reason for row in ROWS if row.reason} == dropped - {Reason.INTERNAL}


def test_names_are_unique() -> None:
    """A name leads to one row."""
    assert len({row.name for row in ROWS}) == len(ROWS)
