# SPDX-License-Identifier: MIT
"""Reading back what hangs on interfaces, and putting back what is lost (docs/adr/0046)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from attrs import define, frozen

from spale_bpf import interface as interfaces
from spale_bpf.ownership import describe, is_known_as_ours
from spale_bpf.programs import program_ids
from spale_core.errors import DataplaneError
from spale_core.model import Loss, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from spale_bpf.interface import Interface
    from spale_core.model import Attachment, AttachMode

NOTHING = "nothing"

_GONE = "no such interface"


_ENDED = frozenset({Outcome.RELEASED, Outcome.GONE})
"""What makes an attachment nobody's to look after."""


@frozen
class Finding:
    """What an interface has instead of our program in its place, in words.

    `is_there` says that our program hangs there, though not as it should.
    """

    words: str
    is_there: bool


class Watched(Protocol):
    """What the watch needs of a hook."""

    @property
    def program_ids(self) -> frozenset[int]:
        """Return the programs that are ours."""

    def look(self, interface: Interface, mode: AttachMode) -> Finding | None:
        """Return what is there instead of ours in its place, None if all is well. Raise DataplaneError."""

    def put_back(self, interface: Interface, mode: AttachMode) -> Attachment:
        """Hang our program there again as `attach` did, if it can be in the same mode.

        No step of it may open what is shut. Raise DataplaneError.
        """


@define
class Guarded:
    """An interface that was attached to, as it was called at the last look."""

    interface: Interface
    mode: AttachMode


class Watch:
    """Looks after the attachments of one dataplane."""

    def __init__(self, hook: Watched, is_released: Callable[[], bool]) -> None:
        """Put back by `hook` what is lost, unless ``is_released()``."""
        self._hook = hook
        self._is_released = is_released
        self.guarded: list[Guarded] = []

    def guard(self, wanted: Iterable[Interface], attachments: Iterable[Attachment]) -> None:
        """Look after these from now on."""
        pairs = zip(wanted, attachments, strict=True)
        self.guarded += [Guarded(found, attachment.mode) for found, attachment in pairs]

    def look(self) -> list[Loss]:
        """Look at each attachment, put back what is lost, and return what was not as it should be."""
        released = self._is_released()
        found = [(guarded, self._look_at(guarded, released=released)) for guarded in self.guarded]
        losses = [loss for _, loss in found if loss is not None]
        self.guarded = [guarded for guarded, loss in found if loss is None or loss.outcome not in _ENDED]
        return losses

    def _look_at(self, guarded: Guarded, *, released: bool) -> Loss | None:
        interface = interfaces.again(guarded.interface)
        if interface is None:
            return _gone(guarded)
        try:
            return self._judge(guarded, interface, released=released)
        except DataplaneError as error:
            if interfaces.again(interface) is None:  # it went while we looked
                return _gone(guarded)
            return _loss(interface, "unknown", Outcome.FAILED, _first_line(error))

    def _judge(self, guarded: Guarded, interface: Interface, *, released: bool) -> Loss | None:
        finding = self._hook.look(interface, guarded.mode)
        if finding is not None and not finding.is_there and interface.name != guarded.interface.name:
            # The number of one that is gone is another one's by now.
            return _gone(guarded)
        guarded.interface = interface
        if finding is None:
            return None
        if not finding.is_there and released:
            return _loss(interface, finding.words, Outcome.RELEASED)
        return self._put_back(guarded, interface, finding)

    def _put_back(self, guarded: Guarded, interface: Interface, finding: Finding) -> Loss:
        successor = None if finding.is_there else self._successor(interface)
        if successor is not None:
            note = f"another spale has taken over by {describe(successor)}: end one of the two"
            return _loss(interface, finding.words, Outcome.FAILED, note)
        try:
            attachment = self._hook.put_back(interface, guarded.mode)
            left = self._hook.look(interface, attachment.mode)
        except DataplaneError as error:
            return _loss(interface, finding.words, Outcome.FAILED, _first_line(error))
        if left is not None:
            return _loss(interface, finding.words, Outcome.FAILED, f"after that: {left.words}")
        guarded.mode = attachment.mode
        return _loss(interface, finding.words, Outcome.PUT_BACK, attachment.note)

    def _successor(self, interface: Interface) -> int | None:
        """Return the program of another spale that has taken the place of ours, by whatever enforcer.

        Raise DataplaneError.
        """
        others = (each for each in program_ids(interface) if each not in self._hook.program_ids)
        return next(filter(is_known_as_ours, others), None)


def _loss(interface: Interface, found: str, outcome: Outcome, note: str = "") -> Loss:
    return Loss(interface.name, interface.index, found, outcome, note)


def _gone(guarded: Guarded) -> Loss:
    return _loss(guarded.interface, _GONE, Outcome.GONE)


def _first_line(error: DataplaneError) -> str:
    return str(error).partition("\n")[0]
