# SPDX-License-Identifier: MIT
"""What an administrator has done by hand, as events for the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from attrs import frozen

from spale_core.events import Event, Level

if TYPE_CHECKING:
    from spale_core.model import Network, Service, Source


class ByHand(Event):
    """Somebody has done it: always in the log, whatever its level."""

    level: ClassVar[Level] = Level.NOTICE
    always: ClassVar[bool] = True


@frozen(kw_only=True)
class Authorized(ByHand):
    """An address was granted services; windows in seconds, -1 never ends."""

    word: ClassVar[str] = "authorized"

    source: Source
    services: tuple[Service, ...]
    idle_s: int
    grace_s: int
    max_s: int


@frozen(kw_only=True)
class Deauthorized(ByHand):
    """What was granted so was taken back, or its `cause` is that the configuration changed."""

    word: ClassVar[str] = "deauthorized"

    source: Source
    services: tuple[Service, ...]
    sessions: int | None = None
    cause: str | None = None


@frozen(kw_only=True)
class Allowed(ByHand):
    """A prefix needs no knock from now on."""

    word: ClassVar[str] = "allowed"

    prefix: Network


@frozen(kw_only=True)
class Disallowed(ByHand):
    """A prefix was taken from that list."""

    word: ClassVar[str] = "disallowed"

    prefix: Network


@frozen(kw_only=True)
class TrialEnded(Event):
    """The trial is over: it was confirmed, and everything stays; or `unconfirmed`, and the ports open."""

    word: ClassVar[str] = "trial"
    level: ClassVar[Level] = Level.NOTICE

    ended: str
