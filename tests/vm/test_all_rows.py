# SPDX-License-Identifier: MIT
"""The packet table in one go: row by row, as in test_packet_table.py, takes ten times as long emulated."""

from __future__ import annotations

import pytest
import table
from machine import Entry, Outcome
from rig import Rig
from test_packet_table import ROWS

from spale_bpf import libbpf

pytestmark = pytest.mark.kernel


class Alone(Rig):
    """A rig that reads the counters once a packet: nobody else counts."""

    def __init__(self, entry: Entry) -> None:
        """Load `entry`."""
        super().__init__(entry)
        self._now = self.counters()

    def run(self, frame: bytes) -> Outcome:
        """Run one frame through the program."""
        retval = libbpf.prog_test_run(self.fd, self.data(frame)).retval
        assert retval in {self._pass, self._drop}, f"the program returned {retval}"
        before, self._now = self._now, self.counters()
        grown = (cpu for cpu, now in self._now.items() if now.packets > before[cpu].packets)
        return Outcome(
            retval == self._pass, {reason: self._now[reason, number].last_source for reason, number in grown}
        )


def fails(row: table.Row, loaded: Rig) -> bool:
    """Tell whether a packet does not get the verdict of its row, or another reason is counted."""
    try:
        table.check(row, loaded)
    except AssertionError:
        return True
    return False


@pytest.mark.parametrize("entry", Entry)
def test_every_row(entry: Entry) -> None:
    """Every packet gets the verdict of its row, and exactly its reason is counted."""
    with Alone(entry) as loaded:
        rows = [row for row in ROWS if entry in row.how and loaded.builds(row.frame)]
        assert len(rows) > 1000
        assert [row.name for row in rows if fails(row, loaded)] == []
