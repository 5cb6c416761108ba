# SPDX-License-Identifier: MIT
"""What tests that play scenes to loaded programs share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def one_cpu() -> Iterator[None]:
    """Keep to one CPU, so that of a per-CPU counter only one value moves."""
    before = os.sched_getaffinity(0)
    cpus = sorted(before)
    os.sched_setaffinity(0, {cpus[os.getpid() % len(cpus)]})
    yield
    os.sched_setaffinity(0, before)
