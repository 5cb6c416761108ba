# SPDX-License-Identifier: MIT
"""What became of claims and datagrams, as events for the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spale_core import events
from spale_core.model import NEVER_NS

if TYPE_CHECKING:
    from spale_core.model import Granted, Refused


def granted(answer: Granted, client: str, fingerprint: str) -> events.Grants:
    """Return the event for a claim of `client` that was honoured."""
    first = answer.grants[0]
    lifetime_ns = NEVER_NS if first.end_ns == NEVER_NS else first.end_ns - first.last_ns
    return events.Grants(
        client=client,
        fingerprint=fingerprint,
        source=first.source,
        services=tuple(grant.service for grant in answer.grants),
        idle_s=_seconds(first.idle_ns),
        grace_s=_seconds(first.grace_ns),
        max_s=_seconds(lifetime_ns),
    )


def refused(answer: Refused, client: str | None) -> events.Refused:
    """Return the event for something that the listener or the monitor refused."""
    single = answer.count == 1
    return events.Refused(
        reason=answer.reason,
        count=answer.count,
        source=answer.source if single else None,
        last_source=None if single else answer.source,
        client=client,
        first_source=answer.first_source,
        detail=answer.detail or None,
    )


def _seconds(window_ns: int) -> int:
    return -1 if window_ns == NEVER_NS else window_ns // 1_000_000_000
