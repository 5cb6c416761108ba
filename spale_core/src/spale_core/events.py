# SPDX-License-Identifier: MIT
"""What happens in the daemon that an administrator should know, as values; `log` turns them into lines.

An event's `word` is the line's first word and its attributes, in order, are the line's ``key=value`` pairs;
an attribute that is None or empty is left out.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, ClassVar

from attrs import frozen

if TYPE_CHECKING:
    from spale_core.model import Reason, Service, Source


class Level(enum.IntEnum):
    """How much an event matters; the numbers are syslog's priorities."""

    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6
    DEBUG = 7


@frozen
class Event:
    """Something that happened. An event with `always` is logged whatever the log level is.

    One with a `count` stands for so many, None for one (see `floods`).
    """

    word: ClassVar[str]
    level: ClassVar[Level] = Level.INFO
    always: ClassVar[bool] = False


@frozen(kw_only=True)
class Ready(Event):
    """The daemon enforces and listens; `waiting`: the interfaces that are not there yet.

    `unbound_until`: the memory is lost; `trial_until`: on trial.
    """

    word: ClassVar[str] = "ready"
    level: ClassVar[Level] = Level.NOTICE

    interface: tuple[str, ...]
    waiting: tuple[str, ...] = ()
    dataplane: str
    mode: tuple[str, ...]
    listen_port: int
    services: tuple[Service, ...]
    clients: int
    pid: int
    listener_pid: int
    log_only: bool | None = None
    unbound_until: str | None = None
    trial_until: str | None = None


@frozen(kw_only=True)
class Attached(Event):
    """A program of ours is on an interface."""

    word: ClassVar[str] = "attach"
    level: ClassVar[Level] = Level.NOTICE

    interface: str
    mode: str
    replaced: bool
    note: str | None = None


@frozen(kw_only=True)
class Detached(Event):
    """Our program is no longer on an interface: its ports are open."""

    word: ClassVar[str] = "detach"
    level: ClassVar[Level] = Level.NOTICE

    interface: str


@frozen(kw_only=True)
class AttachmentLost(Event):
    """Somebody else removed our program from an interface, or got before it; `found` is what was there.

    `count` is how often that has happened to this interface; `note` says why it could not be put back.
    """

    word: ClassVar[str] = "attachment_lost"
    level: ClassVar[Level] = Level.WARNING

    interface: str
    found: str
    put_back: bool
    count: int
    note: str | None = None


@frozen(kw_only=True)
class AttachmentMissing(AttachmentLost):
    """The same, and it could not be put back: the ports may be open."""

    level: ClassVar[Level] = Level.ERROR


@frozen(kw_only=True)
class AttachmentBack(Event):
    """What could not be put back is in order again, by somebody else's doing."""

    word: ClassVar[str] = "attachment_back"
    level: ClassVar[Level] = Level.NOTICE

    interface: str


@frozen(kw_only=True)
class Grants(Event):
    """A knock was honoured; windows in seconds, -1 never ends."""

    word: ClassVar[str] = "granted"
    level: ClassVar[Level] = Level.NOTICE
    always: ClassVar[bool] = True

    client: str
    fingerprint: str
    source: Source
    services: tuple[Service, ...]
    idle_s: int
    grace_s: int
    max_s: int


@frozen(kw_only=True)
class StoreSays(Event):
    """The store is not as it should be, and the daemon goes on."""

    word: ClassVar[str] = "store"
    level: ClassVar[Level] = Level.WARNING

    message: str
    count: int | None = None


@frozen(kw_only=True)
class Expired(Event):
    """What a client held for a source, or was granted by hand (no client), has run out."""

    word: ClassVar[str] = "expired"

    client: str | None
    source: Source
    services: tuple[Service, ...]


@frozen(kw_only=True)
class Revoked(Event):
    """A client lost grants for `services`, and `sessions`; `cause` is revoked, expired or removed."""

    word: ClassVar[str] = "revoked"
    level: ClassVar[Level] = Level.NOTICE
    always: ClassVar[bool] = True

    client: str
    cause: str
    source: Source
    services: tuple[Service, ...]
    sessions: int | None


@frozen(kw_only=True)
class Refused(Event):
    """`count` datagrams or packets were not let in; of several, the names are the last one's."""

    word: ClassVar[str] = "refused"

    reason: Reason
    count: int
    source: Source | None = None
    last_source: Source | None = None
    client: str | None = None
    first_source: Source | None = None
    detail: str | None = None


@frozen(kw_only=True)
class Untracked(Event):
    """`count` connections were let in by their grant, but had no room as sessions: they end with it."""

    word: ClassVar[str] = "untracked"
    level: ClassVar[Level] = Level.WARNING

    count: int
    last_source: Source | None


@frozen(kw_only=True)
class ListenerDied(Event):
    """The listener has ended; another one is started after `restart_in_s` seconds."""

    word: ClassVar[str] = "listener_died"
    level: ClassVar[Level] = Level.ERROR

    pid: int
    cause: str
    status: str
    restart_in_s: float


@frozen(kw_only=True)
class ListenerReady(Event):
    """A listener that was started anew reads the network."""

    word: ClassVar[str] = "listener_ready"
    level: ClassVar[Level] = Level.NOTICE

    pid: int


@frozen(kw_only=True)
class Warned(Event):
    """Something works, but perhaps not as meant."""

    word: ClassVar[str] = "warning"
    level: ClassVar[Level] = Level.WARNING

    message: str
    count: int | None = None


@frozen(kw_only=True)
class Failed(Event):
    """Something did not work, and the daemon goes on."""

    word: ClassVar[str] = "error"
    level: ClassVar[Level] = Level.ERROR

    doing: str
    message: str
    count: int | None = None


@frozen(kw_only=True)
class PluginBug(Event):
    """A plugin raised what it may not; the datagram was refused as ``internal``."""

    word: ClassVar[str] = "plugin_bug"
    level: ClassVar[Level] = Level.ERROR

    error: str
    where: str
    count: int | None = None


@frozen(kw_only=True)
class Exit(Event):
    """The daemon ends; `open_with` is the command that opens the ports it leaves shut."""

    word: ClassVar[str] = "exit"
    level: ClassVar[Level] = Level.NOTICE

    cause: str
    attached: bool
    open_with: str | None = None
