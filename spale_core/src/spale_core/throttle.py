# SPDX-License-Identifier: MIT
"""At most one report per reason and second; what is left out is counted into the next one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

INTERVAL_NS: Final = 1_000_000_000

MOST: Final = 64
"""So many reasons are told apart in one second, whatever they are; the rest are one."""

_THE_REST: Final = object()

Report = TypeVar("Report")


class Throttle(Generic[Report]):
    """Lets the first report of a reason through at once, and sums up the rest of that second."""

    def __init__(
        self, merge: Callable[[Report, Report], Report], reason: Callable[[Report], Hashable]
    ) -> None:
        """Sum reports up with ``merge(held, new)`` where ``reason(report)`` is the same."""
        self._merge = merge
        self._reason = reason
        self._shown_ns: dict[Hashable, int] = {}
        self._held: dict[Hashable, Report] = {}

    def offer(self, report: Report, now_ns: int) -> Report | None:
        """Take a report in; return one that is to be shown now, or None if it is held back."""
        reason = self._known(self._reason(report), now_ns)
        held = self._held.pop(reason, None)
        total = report if held is None else self._merge(held, report)
        if self._is_due(reason, now_ns):
            self._shown_ns[reason] = now_ns
            return total
        self._held[reason] = total
        return None

    def due(self, now_ns: int) -> list[Report]:
        """Return what was held back for a second or more."""
        ready = [reason for reason in self._held if self._is_due(reason, now_ns)]
        self._shown_ns.update(dict.fromkeys(ready, now_ns))
        return [self._held.pop(reason) for reason in ready]

    def flush(self) -> list[Report]:
        """Return everything that is held back, because this is the end."""
        held, self._held = self._held, {}
        return list(held.values())

    def _known(self, reason: Hashable, now_ns: int) -> Hashable:
        """Return `reason` as it is counted, once those of earlier seconds are forgotten if there are many."""
        if reason not in self._shown_ns and len(self._shown_ns) >= MOST:
            self._shown_ns = {
                each: shown_ns
                for each, shown_ns in self._shown_ns.items()
                if each in self._held or not self._is_due(each, now_ns)
            }
            if len(self._shown_ns) >= MOST:
                return _THE_REST
        return reason

    def _is_due(self, reason: Hashable, now_ns: int) -> bool:
        shown_ns = self._shown_ns.get(reason)
        return shown_ns is None or now_ns - shown_ns >= INTERVAL_NS
