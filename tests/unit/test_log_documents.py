# SPDX-License-Identifier: MIT
"""What operations.md says about events is what the daemon logs, and none is left out."""

from __future__ import annotations

import re
from pathlib import Path

import attrs
from log_events_all import kinds

from spale_core.events import Level
from spale_core.floods import Counted

WATCHING = (
    (Path(__file__).parents[2] / "docs" / "operations.md").read_text("utf-8").partition("## Watching")[2]
)
ROW = re.compile(r"^\| `(\w+)` \| ([a-z, ]+) \| ([`a-z_, ]*) \| (.+) \|$", re.MULTILINE)


def test_every_event_has_its_row():
    """With its level, `always` for what no level leaves out, and its keys, in the order of the line."""
    written = {word: (level, keys) for word, level, keys, _ in ROW.findall(WATCHING)}
    levels, keys = {}, {}
    for kind in kinds():
        level = "always" if kind.always else kind.level.name.lower()
        levels.setdefault(kind.word, set()).add(level)
        keys[kind.word] = ", ".join(f"`{each.name}`" for each in attrs.fields(kind))
    order = ["always", *(level.name.lower() for level in reversed(Level))]
    expected = {
        word: (", ".join(sorted(found, key=order.index)), keys[word]) for word, found in levels.items()
    }
    assert {word: found for word, found in expected.items() if written.get(word) != found} == {}
    assert written.keys() == expected.keys()


def test_what_is_capped_is_said():
    """Of every kind that may come as a line for several."""
    (said,) = re.findall(r"That holds for (.*?);", WATCHING, re.DOTALL)
    assert set(re.findall(r"`(\w+)`", said)) == {kind.word for kind in Counted.__args__}
