# SPDX-License-Identifier: MIT
"""Frames for a lane where each arrives with a VLAN tag beside it (lanes.TaggedLane): more tags inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frame_table import EVERYWHERE, NOWHERE, every
from frames_layer2 import AD, Q, tagged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from frame_table import Row

INSIDE = {
    (): NOWHERE,
    (Q,): NOWHERE,
    (AD,): NOWHERE,
    (Q, Q): NOWHERE,
    (AD, Q): NOWHERE,
    (Q, Q, Q): EVERYWHERE,
}


def rows() -> Iterator[Row]:
    """Return tags with the id 0, which are taken without a VLAN device."""
    for tags, unread in INSIDE.items():
        name = "-".join(f"{tag:04x}" for tag in tags) or "none"
        yield from every(f"inside-{name}", lambda way, t=tags: tagged(way, *t), unread=unread)


ROWS = tuple(rows())
