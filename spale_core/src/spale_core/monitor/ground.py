# SPDX-License-Identifier: MIT
"""What stays under a daemon for as long as it lives, however often its configuration is read again."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from attrs import field, frozen

from spale_core import events
from spale_core.errors import SpaleError, UnavailableError
from spale_core.monitor.servicemanager import ServiceManager

if TYPE_CHECKING:
    import selectors
    from collections.abc import Callable

    from spale_core.clock import Clock
    from spale_core.interfaces import DataplaneKind, GrantStore
    from spale_core.log import Log
    from spale_core.model import Moment
    from spale_core.monitor.locks import Locks
    from spale_core.monitor.signals import Signals
    from spale_core.privilege import Identity


@frozen
class Ground:
    """What no reload changes; `started` is when the daemon began, after any earlier one had let go.

    `interfaces` is what is guarded now, names by number, for all to read; only a `Guard` writes it.
    """

    clock: Clock
    log: Log
    signals: Signals
    selector: selectors.BaseSelector
    store: GrantStore
    dataplane: DataplaneKind
    identity: Identity
    sockets: tuple[socket.socket, ...]
    started: Moment
    locks: Locks
    manager: ServiceManager = field(factory=ServiceManager)

    @property
    def interfaces(self) -> dict[int, str]:
        """Return what is guarded by now."""
        return self.log.interfaces

    def attempt(self, doing: str, action: Callable[[], None]) -> None:
        """Do `action`; a failure is logged, because the daemon is worth more than one of its chores."""
        try:
            action()
        except SpaleError as error:
            self.log.emit(events.Failed(doing=doing, message=str(error)))


def find_interfaces(names: tuple[str, ...], *, wait: bool) -> dict[int, str]:
    """Return the interfaces by index; raise UnavailableError for one that is not there, unless we `wait`."""
    found = {}
    for name in names:
        try:
            found[socket.if_nametoindex(name)] = name
        except OSError as error:
            if not wait:
                raise UnavailableError(f"interface {name!r}: {error.strerror}; see: ip -br link") from error
    return found
