# SPDX-License-Identifier: MIT
"""What a reload cannot change, and that the administrator can read which keys these are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from attrs import evolve
from office import SETTINGS

from spale_core.config.keys import DEFINITIONS
from spale_core.config.restart import keys_that_need_a_restart

OPERATIONS = Path(__file__).parents[3] / "docs" / "operations.md"
KEYS = {each.key: each.field for each in DEFINITIONS if each.restart}


@pytest.mark.parametrize("key", KEYS)
def test_each_is_named(key):
    """Whatever else has changed."""
    after = evolve(SETTINGS, idle_s=61, services=frozenset(), clients=(), **{KEYS[key]: "another"})
    assert keys_that_need_a_restart(SETTINGS, after) == (key,)


def test_all_others_a_reload_can_change():
    """Nothing is named that need not be."""
    others = {each.field for each in DEFINITIONS if each.field and not each.restart}
    after = evolve(SETTINGS, **dict.fromkeys(others, "another"))
    assert keys_that_need_a_restart(SETTINGS, after) == ()


def test_they_are_documented():
    """In docs/operations.md; --name is no key, and no file can change it."""
    line = next(line for line in OPERATIONS.read_text().splitlines() if "needs a restart" in line)
    assert {*re.findall(r"`([A-Z_0-9]+)`", line), "NAME"} == KEYS.keys()
