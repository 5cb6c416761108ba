# SPDX-License-Identifier: MIT
"""What a running daemon cannot change about itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spale_core.config.keys import DEFINITIONS

if TYPE_CHECKING:
    from spale_core.config.settings import Settings


def keys_that_need_a_restart(before: Settings, after: Settings) -> tuple[str, ...]:
    """Return the keys in which `after` differs from `before` and a reload cannot follow."""
    return tuple(
        each.key
        for each in DEFINITIONS
        if each.restart
        and each.field is not None
        and getattr(before, each.field) != getattr(after, each.field)
    )
