# SPDX-License-Identifier: MIT
"""Which epochs' tags must be known now, and when each is valid (wire.md, "Tag and MAC")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spale_core.model import EPOCH_S, KernelTag

if TYPE_CHECKING:
    from spale_core.model import Moment, Tag

_EPOCH_MS = EPOCH_S * 1000
_NS_PER_MS = 1_000_000


def wanted(now_unix_ms: int, max_skew_s: int) -> range:
    """Return the epochs that cover now ± `max_skew_s`, and the next one."""
    skew_ms = max_skew_s * 1000
    first = max(0, now_unix_ms - skew_ms) // _EPOCH_MS
    last = (now_unix_ms + skew_ms) // _EPOCH_MS
    return range(first, last + 2)


def most(max_skew_s: int) -> int:
    """Return how many epochs `wanted` has at most; so many of the last ones both processes know."""
    return -(-2 * max_skew_s // EPOCH_S) + 2


def wall_offset_ns(now: Moment) -> int:
    """Return how far the wall clock is ahead of CLOCK_MONOTONIC; a step or a suspend changes it."""
    return now.unix_ms * _NS_PER_MS - now.monotonic_ns


def kernel_tag(tag: Tag, offset_ns: int, max_skew_s: int) -> KernelTag:
    """Return `tag` with its validity, its epoch ± `max_skew_s`, in kernel time; see `wall_offset_ns`."""
    begin_s = EPOCH_S * tag.epoch - max_skew_s
    end_s = EPOCH_S * (tag.epoch + 1) + max_skew_s
    return KernelTag(
        tag=tag.tag,
        mac_key=tag.mac_key,
        not_before_ns=max(0, begin_s * 1_000_000_000 - offset_ns),
        not_after_ns=max(0, end_s * 1_000_000_000 - offset_ns),
    )
