# SPDX-License-Identifier: MIT
"""Says and counts what was lost of the attachments, and what was attached to later than at the start."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from spale_core import events
from spale_core.interface_events import InterfaceGone
from spale_core.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Container, Iterable
    from collections.abc import Set as AbstractSet

    from spale_core.clock import Clock
    from spale_core.log import Log
    from spale_core.model import Attachment, Loss

REMIND_NS: Final = 60_000_000_000
"""How often it is said again that an attachment cannot be put back."""


class AttachmentWatch:
    """Is told what each look has found; `losses` counts by interface."""

    def __init__(self, log: Log, clock: Clock) -> None:
        """Begin with everything in order."""
        self._log = log
        self._clock = clock
        self._failed: dict[int, tuple[Loss, int]] = {}
        self.losses: Counter[str] = Counter()

    def follow(self, before: AttachmentWatch) -> None:
        """Know what was lost, and what could not be put back, under an earlier configuration."""
        self._failed = before._failed
        self.losses = before.losses

    @property
    def missing(self) -> AbstractSet[str]:
        """Return the interfaces on which we are not, and could not be put back."""
        return {loss.interface for loss, _ in self._failed.values()}

    def attached(self, attachment: Attachment) -> None:
        """Say where we are, and how."""
        self._failed.pop(attachment.ifindex, None)
        self._log.emit(
            events.Attached(
                interface=attachment.interface,
                mode=attachment.mode.value,
                replaced=attachment.replaced,
                note=attachment.note or None,
            )
        )

    def tell(self, found: Iterable[Loss]) -> None:
        """Say what a look has `found` that was not as it should be."""
        for loss in found:
            self._tell(loss)

    def settle(self, found: Iterable[Loss], there: Container[int]) -> None:
        """Say what is in order again: what a look has not `found` to be otherwise; `there` is guarded."""
        for index in self._failed.keys() - {loss.ifindex for loss in found}:
            loss, _ = self._failed.pop(index)
            kind = events.AttachmentBack if index in there else InterfaceGone
            self._log.emit(kind(interface=loss.interface))

    def _tell(self, loss: Loss) -> None:
        if loss.outcome is Outcome.FAILED:
            self._tell_failure(loss)
            return
        is_new = self._failed.pop(loss.ifindex, None) is None
        if loss.outcome is Outcome.GONE:
            self._log.emit(InterfaceGone(interface=loss.interface))
            return
        if is_new:
            self.losses[loss.interface] += 1
        if loss.outcome is Outcome.PUT_BACK:
            self._emit(events.AttachmentLost, loss)
        else:
            self._log.emit(events.Detached(interface=loss.interface))

    def _tell_failure(self, loss: Loss) -> None:
        """Say it at once, when it changes, and then once in a while, for as long as it lasts."""
        now_ns = self._clock.monotonic_ns()
        before, told_ns = self._failed.get(loss.ifindex, (None, now_ns - REMIND_NS))
        if before is None:
            self.losses[loss.interface] += 1
        if before != loss or now_ns - told_ns >= REMIND_NS:
            self._failed[loss.ifindex] = (loss, now_ns)
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
