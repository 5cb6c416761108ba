# SPDX-License-Identifier: MIT
"""What became of claims and datagrams, as events for the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spale_core import events
from spale_core.manual_events import Authorized
from spale_core.model import NEVER_NS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spale_core.model import Grant, Granted, Refused


def granted(answer: Granted, client: str, fingerprint: str) -> events.Grants:
    """Return the event for a claim of `client` that was honoured."""
    first = answer.grants[0]
    return events.Grants(
        client=client,
        fingerprint=fingerprint,
        source=first.source,
        services=tuple(grant.service for grant in answer.grants),
        idle_s=_seconds(first.idle_ns),
        grace_s=_seconds(first.grace_ns),
        max_s=_lifetime_s(first),
    )


def authorized(grants: Sequence[Grant]) -> Authorized:
    """Return the event for what was granted by hand just now, which is at least one."""
    first = grants[0]
    return Authorized(
        source=first.source,
        services=tuple(grant.service for grant in grants),
        idle_s=_seconds(first.idle_ns),
        grace_s=_seconds(first.grace_ns),
        max_s=_lifetime_s(first),
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


def _lifetime_s(grant: Grant) -> int:
    """Return how long a grant that was made just now may last."""
    return _seconds(NEVER_NS if grant.end_ns == NEVER_NS else grant.end_ns - grant.last_ns)


def _seconds(window_ns: int) -> int:
    return -1 if window_ns == NEVER_NS else window_ns // 1_000_000_000
