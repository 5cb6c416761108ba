# SPDX-License-Identifier: MIT
"""Lanes (lane.py, lanes.py) that nothing guards, and lanes with each enforcer; shared by all tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lanes
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lane import Lane


@pytest.fixture(scope="session")
def bare(request: pytest.FixtureRequest) -> Iterator[Lane]:
    """Return a lane of the kind that a test names as parameter; nothing guards it."""
    with lanes.KINDS[request.param]() as lane:
        yield lane


@pytest.fixture(scope="session")
def guarded(request: pytest.FixtureRequest) -> Iterator[Lane]:
    """Return a lane of the kind and with the enforcer that a test names as parameter."""
    kind, enforcer = request.param
    with lanes.KINDS[kind]() as lane:
        lane.guard(enforcer)
        yield lane
