# SPDX-License-Identifier: MIT
"""What happens to the interfaces that are guarded; see `events`."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from spale_core.events import Event, Level


@frozen(kw_only=True)
class InterfaceGone(Event):
    """A guarded interface was deleted, or left this network namespace; one that has its name is guarded."""

    word: ClassVar[str] = "interface_gone"
    level: ClassVar[Level] = Level.WARNING

    interface: str


@frozen(kw_only=True)
class InterfaceRenamed(Event):
    """A guarded interface is called `interface` from now on, and is guarded as before."""

    word: ClassVar[str] = "interface_renamed"
    level: ClassVar[Level] = Level.NOTICE

    interface: str
    before: str
