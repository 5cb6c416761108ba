# SPDX-License-Identifier: MIT
"""Python's collector of cycles, kept from what is made once in great numbers, and stays."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def resting() -> Iterator[None]:
    """Let it rest: ten thousand clients are no garbage, however often it looks (docs/adr/0079)."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
