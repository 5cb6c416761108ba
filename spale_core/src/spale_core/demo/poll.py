# SPDX-License-Identifier: MIT
"""Waiting for what others do: look again and again, never longer than a deadline."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")
_FIRST_PAUSE_S = 0.002
_LAST_PAUSE_S = 0.01
_LATE = 0.05
"""How much longer than needed a wait may take, as a share of it: who waits long need not look often."""


def until(check: Callable[[], _T], timeout_s: float) -> _T:
    """Call `check` again and again until it is true or the time is over; return what it returned last."""
    began = time.monotonic()
    while not (result := check()) and (waited_s := time.monotonic() - began) < timeout_s:
        time.sleep(min(max(_FIRST_PAUSE_S, _LATE * waited_s), _LAST_PAUSE_S))
    return result
