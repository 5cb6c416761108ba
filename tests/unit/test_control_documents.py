# SPDX-License-Identifier: MIT
"""docs/control.md says what the daemon does: every method, parameter and key, and none that is gone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spale_core.control import facts, rows, wire
from spale_core.control.connection import READ_AT_ONCE, SENT_AT_ONCE
from spale_core.control.methods import METHODS
from spale_core.control.server import MAX_CONNECTIONS, PATIENCE_S

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "control.md").read_text("utf-8")
ROW = re.compile(r"^\| `(?P<name>\w+)` \| (?P<who>\w+) \| (?P<parameters>[^|]*)\|", re.MULTILINE)
KINDS = [
    kind
    for module in (rows, facts)
    for kind in vars(module).values()
    if isinstance(kind, type) and hasattr(kind, "__total__") and kind.__module__ == module.__name__
]


def test_every_method_is_there():
    """With who may call it, and its parameters in their order."""
    found = {
        match["name"]: (match["who"], re.findall(r"`(\w+)`(\??)", match["parameters"]))
        for match in ROW.finditer(PAGE)
    }
    wanted = {
        name: (
            "reader" if method.reading else "admin",
            [(each.name, "?" if each.optional else "") for each in method.parameters],
        )
        for name, method in METHODS.items()
    }
    assert found == wanted


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_key_is_there(kind):
    """In the section of its name."""
    (section,) = re.findall(rf"^### {kind.__name__}\n(.*?)(?=^### |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    cells = re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(cells))) == kind.__annotations__.keys()


def test_no_section_is_of_what_is_gone():
    """Each has its kind of value."""
    assert set(re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)) == {kind.__name__ for kind in KINDS}


def test_the_numbers():
    """Of the page, and of the decision that says why."""
    why = (DOCS / "adr" / "0093-one-small-step-per-turn.md").read_text("utf-8")
    assert f"at most {wire.MAX_LINE:,} bytes" in PAGE
    assert f"This page is protocol {wire.PROTOCOL}:" in PAGE
    assert f"There is room for {MAX_CONNECTIONS}:" in PAGE
    assert f"for {PATIENCE_S:.0f} seconds" in PAGE
    for number in (wire.MAX_LINE, READ_AT_ONCE, SENT_AT_ONCE):
        assert f"{number:,} bytes" in why
