# SPDX-License-Identifier: MIT
"""What became of the log's own lines, as events for the log."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from spale_core.events import Event, Level


@frozen(kw_only=True)
class LogLost(Event):
    """`count` lines could not be written in time, because whoever takes them did not read, or failed."""

    word: ClassVar[str] = "log_lost"
    level: ClassVar[Level] = Level.WARNING

    count: int


@frozen(kw_only=True)
class LogMoved(Event):
    """Lines go to somewhere else from now on: to stderr, and why, or back to syslog."""

    word: ClassVar[str] = "log"
    level: ClassVar[Level] = Level.WARNING

    to: str
    cause: str | None = None
