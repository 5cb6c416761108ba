# SPDX-License-Identifier: MIT
"""What came of reading the configuration again, as events for the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from attrs import frozen

from spale_core.events import Event, Level

if TYPE_CHECKING:
    from spale_core.model import Service


@frozen(kw_only=True)
class Reloaded(Event):
    """A configuration that was read anew is in force.

    Of grants (per client, source and service), `grants` go on, `cut` of them with shorter windows, and
    `ended` were taken away; `sessions` go on. `took_s` is from the signal to here.
    """

    word: ClassVar[str] = "reload"
    level: ClassVar[Level] = Level.NOTICE

    services: tuple[Service, ...]
    clients: int
    grants: int
    cut: int
    ended: int
    sessions: int
    listener_pid: int
    took_s: float
    log_only: bool | None = None


@frozen(kw_only=True)
class ReloadFailed(Event):
    """Why a reload changed nothing; of several mistakes each has a line."""

    word: ClassVar[str] = "reload_failed"
    level: ClassVar[Level] = Level.ERROR

    message: str
