# SPDX-License-Identifier: MIT
"""The same headers built for user space: the packet table without a kernel, and moments to the nanosecond."""

from __future__ import annotations

import packets as p
import pytest
import rows_grants
import rows_headers
import rows_sessions
import rows_sources
import rows_spa
import rows_v1
import table
from knock import MAC_KEY, TAG
from machine import NEVER, client
from native_machine import Native
from packets import ACK, SYN
from table import ETHERNET, TCP_PORT, Row

from spale_bpf import _abi
from spale_bpf._abi import Reason

ROWS = (
    *rows_grants.ROWS,
    *rows_headers.ROWS,
    *rows_sessions.ROWS,
    *rows_sources.ROWS,
    *rows_spa.ROWS,
    *rows_v1.ROWS,
)
T = 1_000_000
"""The knock's time in these tests, in nanoseconds."""


@pytest.mark.parametrize("paged", [False, True], ids=["linear", "paged"])
@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_verdict_and_reason(row: Row, paged: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """A packet gets the verdict of its row, and exactly its reason is counted."""
    assert row.how[0] in ETHERNET
    table.check(row, Native(paged=paged))


def judged(grant: _abi.Grant, flags: int, clock_ns: int) -> tuple[tuple[Reason, ...], int]:
    """Return the reasons that a TCP packet at `clock_ns` meets, and the grant's `last` after it."""
    native = Native()
    table.prepare(native)
    native.grant(client(4), p.TCP, TCP_PORT, grant)
    native.clock_ns = clock_ns
    counted = native.run(table.frame(4, p.tcp(TCP_PORT, flags), p.TCP)).counted
    after = native.granted(client(4), p.TCP, TCP_PORT)
    assert after is not None
    return tuple(counted), after.last_ns


@pytest.mark.parametrize(
    ("age", "flags", "reasons"),
    [
        (0, ACK, ()),
        (10, ACK, ()),
        (11, ACK, (Reason.GRANT_GRACE,)),
        (11, SYN, ()),
        (20, SYN, ()),
        (21, SYN, (Reason.GRANT_DEAD,)),
        (-5, ACK, ()),
    ],
)
def test_windows_end_to_the_nanosecond(age: int, flags: int, reasons: tuple[Reason, ...]) -> None:
    """LIVE while age <= idle, GRACE while age <= grace; a `last` in the future is live and stays."""
    last = judged(_abi.Grant(T, 10, 20, NEVER), flags, T + age)
    assert last == (reasons, T if reasons or age < 0 else T + age)


@pytest.mark.parametrize(("clock", "reasons"), [(T + 4, ()), (T + 5, (Reason.GRANT_DEAD,))])
def test_the_end_is_dead(clock: int, reasons: tuple[Reason, ...]) -> None:
    """A grant is DEAD from its end on, however busy."""
    assert judged(_abi.Grant(T, 10, 20, T + 5), ACK, clock)[0] == reasons


def test_never_outlives_the_clock() -> None:
    """Windows and an end of -1 hold at the last nanosecond."""
    assert judged(_abi.Grant(0, NEVER, 0, NEVER), ACK, NEVER)[0] == ()


@pytest.mark.parametrize(
    ("clock", "reasons"),
    [(T - 1, (Reason.STALE_TAG,)), (T, ()), (T + 9, ()), (T + 10, (Reason.STALE_TAG,))],
)
def test_tags_are_valid_inclusively(clock: int, reasons: tuple[Reason, ...]) -> None:
    """A tag is good from its first to its last nanosecond."""
    native = Native()
    table.prepare(native)
    native.tag(TAG, MAC_KEY, T, T + 9)
    native.clock_ns = clock
    assert tuple(native.run(rows_spa.spa(4)).counted) == reasons


def test_tokens_grow_back_one_by_one() -> None:
    """A burst of three passes; then one every `cost_ns`; after long silence three again, no more."""
    native = Native()
    table.prepare(native)
    native.settings(cost_ns=10, burst=3)
    passed = []
    for number, clock in enumerate([0, 0, 0, 0, 9, 10, 10, 19, 20, 1000, 1000, 1000, 1000]):
        native.clock_ns = T + clock
        passed.append(native.run(rows_spa.spa(4, rows_spa.fresh(number))).passed)
    assert passed == [True] * 3 + [False, False, True, False, False, True] + [True] * 3 + [False]
