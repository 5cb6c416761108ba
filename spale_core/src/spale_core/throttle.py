# SPDX-License-Identifier: MIT
"""At most one report per reason and second; what is left out is counted into the next one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from spale_core.model import Reason

INTERVAL_NS = 1_000_000_000


class _Report(Protocol):
    @property
    def reason(self) -> Reason: ...


Report = TypeVar("Report", bound=_Report)


class Throttle(Generic[Report]):
    """Lets the first report of a reason through at once, and sums up the rest of that second."""

    def __init__(self, merge: Callable[[Report, Report], Report]) -> None:
        """Sum reports up with ``merge(held, new)``."""
        self._merge = merge
        self._shown_ns: dict[Reason, int] = {}
        self._held: dict[Reason, Report] = {}

    def offer(self, report: Report, now_ns: int) -> Report | None:
        """Take a report in; return one that is to be shown now, or None if it is held back."""
        reason = report.reason
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

    def _is_due(self, reason: Reason, now_ns: int) -> bool:
        shown_ns = self._shown_ns.get(reason)
        return shown_ns is None or now_ns - shown_ns >= INTERVAL_NS
