# SPDX-License-Identifier: MIT
"""The monitor has the tags of now whenever both processes see the same clock, whatever it was before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spale_core import epochs
from spale_core.engine import Engine, Rules, Scheme
from spale_core.model import Moment, Tag
from spale_core.tagtable import TagTable


class Tags:
    """An authenticator of one client that makes tags and nothing else."""

    length = 1

    def tags(self, epoch):
        """Yield the client's."""
        yield Tag(0, 0, epoch, epoch.to_bytes(8), bytes(16))


def moment(second):
    """Return a moment of the wall clock, which all that stands still is measured by here."""
    return Moment(monotonic_ns=0, unix_ms=1_700_000_000_000 + second * 1000)


@given(
    skew_s=st.integers(1, 120),
    looks=st.lists(st.tuples(st.sampled_from(["listener", "monitor", "restart"]), st.integers(0, 600))),
)
def test_steps_that_only_one_of_the_two_sees(skew_s, looks):
    """The listener tells what the monitor lacks, though it is told nothing; a new one begins anew."""

    def listener():
        return Engine([Scheme(Tags(), (0,))], Rules(frozenset(), skew_s, require_source_binding=False), {})

    table, engine = TagTable(1, 1, skew_s), listener()
    for who, second in (*looks, ("listener", 300)):
        if who == "listener":
            while (batch := engine.next_tags(moment(second))) is not None:
                table.add(batch)
        elif who == "monitor":
            table.kernel_tags(moment(second))
        else:
            engine = listener()
            table.restart()
    had = {int.from_bytes(tag.tag) for tag in table.kernel_tags(moment(300))}
    assert had == set(epochs.wanted(moment(300).unix_ms, skew_s))
