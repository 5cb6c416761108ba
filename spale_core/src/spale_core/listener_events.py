# SPDX-License-Identifier: MIT
"""What the listener says itself, on its standard error; see `events`."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from spale_core.events import Event, Level


@frozen(kw_only=True)
class CallRefused(Event):
    """The kernel refused system calls of a plugin, so many since the last such line, the last one there.

    Each cost a datagram, which was refused as ``internal``.
    """

    word: ClassVar[str] = "call_refused"
    level: ClassVar[Level] = Level.WARNING

    count: int
    where: str
