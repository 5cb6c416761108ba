# SPDX-License-Identifier: MIT
"""Waiting for what others do: look again and again, never longer than a deadline."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")
_PAUSE_S = 0.002


def until(check: Callable[[], _T], timeout_s: float) -> _T:
    """Call `check` again and again until it is true or the time is over; return what it returned last."""
    deadline = time.monotonic() + timeout_s
    while not (result := check()) and time.monotonic() < deadline:
        time.sleep(_PAUSE_S)
    return result
