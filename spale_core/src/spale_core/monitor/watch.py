# SPDX-License-Identifier: MIT
"""Looks after the attachments: has them read back and put back, and says and counts what was lost."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from spale_core import events
from spale_core.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from spale_core.clock import Clock
    from spale_core.interfaces import Dataplane
    from spale_core.log import Log
    from spale_core.model import Loss

REMIND_NS: Final = 60_000_000_000
"""How often it is said again that an attachment cannot be put back."""


class AttachmentWatch:
    """Looks when it is told to, at every sweep; `losses` counts by interface."""

    def __init__(self, dataplane: Dataplane, log: Log, clock: Clock) -> None:
        """Look after what `dataplane` has attached."""
        self._dataplane = dataplane
        self._log = log
        self._clock = clock
        self._failed: dict[str, tuple[Loss, int]] = {}
        self.losses: Counter[str] = Counter()

    def follow(self, before: AttachmentWatch) -> None:
        """Know what was lost, and what could not be put back, under an earlier configuration."""
        self._failed = before._failed
        self.losses = before.losses

    @property
    def missing(self) -> AbstractSet[str]:
        """Return the interfaces on which we are not, and could not be put back."""
        return self._failed.keys()

    def look(self) -> frozenset[str]:
        """Return the interfaces that are not ours any more, because they were released on purpose.

        Raise DataplaneError if nothing could be looked at.
        """
        losses = {loss.interface: loss for loss in self._dataplane.ensure()}
        for interface in self._failed.keys() - losses.keys():
            del self._failed[interface]
            self._log.emit(events.AttachmentBack(interface=interface))
        for loss in losses.values():
            self._tell(loss)
        released = (name for name, loss in losses.items() if loss.outcome is Outcome.RELEASED)
        return frozenset(released)

    def _tell(self, loss: Loss) -> None:
        if loss.outcome is Outcome.FAILED:
            self._tell_failure(loss)
            return
        if self._failed.pop(loss.interface, None) is None:
            self.losses[loss.interface] += 1
        if loss.outcome is Outcome.PUT_BACK:
            self._emit(events.AttachmentLost, loss)
        else:
            self._log.emit(events.Detached(interface=loss.interface))

    def _tell_failure(self, loss: Loss) -> None:
        """Say it at once, when it changes, and then once in a while, for as long as it lasts."""
        now_ns = self._clock.monotonic_ns()
        before, told_ns = self._failed.get(loss.interface, (None, now_ns - REMIND_NS))
        if before is None:
            self.losses[loss.interface] += 1
        if before != loss or now_ns - told_ns >= REMIND_NS:
            self._failed[loss.interface] = (loss, now_ns)
            self._emit(events.AttachmentMissing, loss)

    def _emit(self, kind: type[events.AttachmentLost], loss: Loss) -> None:
        self._log.emit(
            kind(
                interface=loss.interface,
                found=loss.found,
                put_back=loss.outcome is Outcome.PUT_BACK,
                count=self.losses[loss.interface],
                note=loss.note or None,
            )
        )
