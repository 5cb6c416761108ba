# SPDX-License-Identifier: MIT
"""Which interfaces are guarded: the configuration names them, the kernel numbers them, and both may change.

Guarded is whatever has a configured name, and whatever had one when it was attached to, for as long as it is
there (docs/adr/0110).
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from attrs import evolve

from spale_core import events
from spale_core.errors import DataplaneError, UnavailableError
from spale_core.interface_events import InterfaceRenamed
from spale_core.model import Loss, Outcome
from spale_core.monitor.watch import AttachmentWatch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from spale_core.interfaces import Dataplane
    from spale_core.model import Attachment
    from spale_core.monitor.ground import Ground

_OPEN = "nothing"
_GONE = frozenset({Outcome.GONE, Outcome.RELEASED})


class Guard:
    """Keeps one dataplane on the interfaces of one configuration, and the table of them up to date."""

    def __init__(self, ground: Ground, names: Sequence[str], dataplane: Dataplane) -> None:
        """Guard what is called by `names`; nothing is attached yet."""
        self._ground = ground
        self._names = names
        self._dataplane = dataplane
        self._watch = AttachmentWatch(ground.log, ground.clock)
        self._attached: dict[int, Attachment] = {}
        self._released: set[str] = set()

    def follow(self, before: Guard) -> None:
        """Know what was lost and released under an earlier configuration."""
        self._watch.follow(before._watch)
        self._released = set(before._released)

    @property
    def attachments(self) -> Sequence[Attachment]:
        """Return where we are, by present names."""
        return list(self._attached.values())

    @property
    def unguarded(self) -> tuple[str, ...]:
        """Return the configured names under which nothing is guarded."""
        return tuple(name for name in self._names if _number(name) not in self._attached)

    @property
    def waiting(self) -> tuple[str, ...]:
        """Return those that no interface has by now, and that will be guarded when one has."""
        return tuple(name for name in self.unguarded if name not in self._released and _number(name) is None)

    @property
    def missing(self) -> AbstractSet[str]:
        """Return the interfaces on which we should be and are not."""
        return self._watch.missing

    @property
    def losses(self) -> Mapping[str, int]:
        """Return how often each interface was lost."""
        return self._watch.losses

    @property
    def has_nothing_left(self) -> bool:
        """Tell whether everything was taken off on purpose."""
        return not self._attached and self._released.issuperset(self._names)

    def attach(self, interfaces: Sequence[str]) -> None:
        """Attach to `interfaces`, all or none; raise DataplaneError."""
        made = self._dataplane.attach(interfaces) if interfaces else ()
        for attachment in made:
            self._add(attachment)
        self._publish()

    def detach(self) -> None:
        """Open everything, and say it; raise DataplaneError."""
        self._dataplane.detach()
        for attachment in self._attached.values():
            self._ground.log.emit(events.Detached(interface=attachment.interface))
        self._attached = {}

    def look(self) -> bool:
        """Put back what was lost, and attach to what has come; return whether what is guarded has changed.

        Raise DataplaneError if nothing could be looked at; what has come is attached to all the same.
        """
        before = dict(self._ground.interfaces)
        self._rename()
        losses: list[Loss] = []
        try:
            losses += self._dataplane.ensure()
        finally:
            self._watch.tell(losses)
            self._drop(losses)
            failed = self._attach_to_those_that_came()
            self._watch.tell(failed)
            self._publish()
        self._watch.settle([*losses, *failed], self._attached)
        return before != self._ground.interfaces

    def _rename(self) -> None:
        """Call what is guarded as it is called by now."""
        for index, attachment in self._attached.items():
            try:
                name = socket.if_indextoname(index)
            except OSError:
                # It is gone, and the dataplane will say so.
                continue
            if name != attachment.interface:
                self._attached[index] = evolve(attachment, interface=name)
                self._ground.log.emit(InterfaceRenamed(interface=name, before=attachment.interface))

    def _drop(self, losses: Sequence[Loss]) -> None:
        """Forget what is not ours to look after any more."""
        for loss in losses:
            if loss.outcome in _GONE:
                self._attached.pop(loss.ifindex, None)
            if loss.outcome is Outcome.RELEASED:
                self._released.add(loss.interface)

    def _attach_to_those_that_came(self) -> list[Loss]:
        """Attach to each interface that has a configured name by now; return those that could not be."""
        failed = []
        for name in self._names:
            index = None if name in self._released else _number(name)
            if index is not None and index not in self._attached:
                try:
                    self._attach_too(name, index)
                except (DataplaneError, UnavailableError) as error:
                    note = str(error).partition("\n")[0]
                    failed.append(Loss(name, index, _OPEN, Outcome.FAILED, note))
        return failed

    def _attach_too(self, name: str, index: int) -> None:
        """Attach to one more; raise DataplaneError, or UnavailableError if another daemon guards it."""
        try:
            self._ground.locks.take(index, name)
        except OSError as error:
            # Without a lock is better than open.
            self._ground.log.emit(events.Failed(doing="lock", message=f"of {name}: {error.strerror}"))
        for attachment in self._dataplane.attach([name]):
            self._watch.attached(self._add(attachment))

    def _add(self, attachment: Attachment) -> Attachment:
        """Note where we are by now; return it, by its first name, where it was attached to by another one."""
        with suppress(OSError):
            attachment = evolve(attachment, interface=socket.if_indextoname(attachment.ifindex))
        self._attached[attachment.ifindex] = attachment
        return attachment

    def _publish(self) -> None:
        """Let everybody know what is guarded, by which number and name."""
        table = self._ground.interfaces
        table.clear()
        table.update((index, each.interface) for index, each in self._attached.items())
        self._ground.locks.keep(table)


def _number(name: str) -> int | None:
    """Return the number of the interface that is called `name`, None if there is none."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return None
