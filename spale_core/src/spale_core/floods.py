# SPDX-License-Identifier: MIT
"""Of events that may come in floods the log has one line a second for each thing that they are about.

Strangers cause refusals, callers and disks the failure of one chore again and again. What is left out is
counted into the next line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from spale_core.events import Failed, PluginBug, Refused, StoreSays, Untracked, Warned
from spale_core.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from spale_core.events import Event

Counted = Refused | Untracked | StoreSays | Warned | Failed | PluginBug
"""The events that are capped. All others are rare, or of somebody who may be there, and told one by one."""


class Floods:
    """Holds back what would be too much."""

    def __init__(self) -> None:
        """Begin with nothing held back."""
        self._throttles: dict[type[Counted], Throttle[Counted]] = {}

    def offer(self, event: Event, now_ns: int) -> Event | None:
        """Take an event in; return what is to be written now, None if it comes later, summed up."""
        if not isinstance(event, Counted):
            return event
        throttle = self._throttles.setdefault(type(event), Throttle(merged, about))
        return throttle.offer(event, now_ns)

    def due(self, now_ns: int) -> Iterator[Event]:
        """Yield what was held back for a second or more."""
        for throttle in self._throttles.values():
            yield from throttle.due(now_ns)

    def flush(self) -> Iterator[Event]:
        """Yield everything that is held back, because this is the end."""
        for throttle in self._throttles.values():
            yield from throttle.flush()


def about(event: Counted) -> Hashable:
    """Return what `event` is about: others of its kind that are about the same may become one with it."""
    match event:
        case Refused():
            return event.reason
        case Failed():
            return event.doing, event.message
        case StoreSays() | Warned():
            return event.message
        case PluginBug():
            return event.error, event.where
        case Untracked():
            return None


def merged(held: Counted, new: Counted) -> Counted:
    """Return one event for both, with what the newer one says."""
    count = (held.count or 1) + (new.count or 1)
    if isinstance(new, Refused):
        return evolve(new, count=count, source=None, last_source=new.last_source or new.source)
    return evolve(new, count=count)
