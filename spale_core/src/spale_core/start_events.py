# SPDX-License-Identifier: MIT
"""What a start has found, of an earlier daemon or of the host's connections, as events for the log."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from spale_core.events import Event, Level


@frozen(kw_only=True)
class Restored(Event):
    """What the store remembers of an earlier daemon: `count` grants go on, `ended` did not come back."""

    word: ClassVar[str] = "restored"
    level: ClassVar[Level] = Level.NOTICE

    count: int
    ended: int


@frozen(kw_only=True)
class Inherited(Event):
    """`sessions` of an earlier daemon go on."""

    word: ClassVar[str] = "inherited"
    level: ClassVar[Level] = Level.NOTICE

    sessions: int


@frozen(kw_only=True)
class Adopted(Event):
    """`count` connections that stood at the first attach became sessions; `left_out` more had no room."""

    word: ClassVar[str] = "adopted"
    level: ClassVar[Level] = Level.NOTICE

    count: int
    left_out: int | None
