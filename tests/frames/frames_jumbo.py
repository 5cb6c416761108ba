# SPDX-License-Identifier: MIT
"""IPv6 headers longer than a page: XDP may see a frame in several buffers, and reads the first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frame_table import NOWHERE, XDP_ONLY, both, chained, segment
from packets import DSTOPTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from frame_table import Row
    from ways import Way

LONG = (DSTOPTS, 2048)


def rows() -> Iterator[Row]:
    """Return chains of the longest headers that there are."""
    for count in range(5):

        def build(way: Way, count: int = count) -> list[bytes]:
            return [chained(way, segment(way), *[LONG] * count)]

        yield from both(f"long-{count}", 6, build, perhaps_unread=XDP_ONLY if count > 1 else NOWHERE)


ROWS = tuple(rows())
