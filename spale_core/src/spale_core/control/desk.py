# SPDX-License-Identifier: MIT
"""What the monitor shows and does for those who ask over the management socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from spale_core.config.settings import Settings
    from spale_core.control.rows import Status
    from spale_core.errors import SpaleError
    from spale_core.expulsion import Revoked
    from spale_core.holdings import Holdings
    from spale_core.interfaces import Dataplane
    from spale_core.manual import Withdrawn
    from spale_core.model import Counter, Moment, Network, Reason, Service, Source
    from spale_core.owners import Owners
    from spale_core.reload_events import Reloaded

    Windows = tuple[int | None, int | None]
    """Idle and grace in seconds, -1 never ends; None is what the configuration has for everybody."""

    TellReload = Callable[[Reloaded | SpaleError], None]
    """Is told what came of a reload."""


class Desk(Protocol):
    """What is shown is of the configuration in force; nobody but the monitor changes it."""

    @property
    def settings(self) -> Settings:
        """Return the configuration."""

    @property
    def holdings(self) -> Holdings:
        """Return who holds what; how packets have extended that, as of the last sweep."""

    @property
    def owners(self) -> Owners:
        """Return whose sessions are whose."""

    @property
    def dataplane(self) -> Dataplane:
        """Return what enforces."""

    @property
    def counters(self) -> Mapping[Reason, Counter]:
        """Return what the kernel has counted, as of the last second."""

    @property
    def last_knocks(self) -> Mapping[str, int]:
        """Return when the last knock of a client was granted, in ``unix_ms``, since the daemon began."""

    @property
    def interfaces(self) -> Mapping[int, str]:
        """Return the names of the protected interfaces, by index."""

    @property
    def version(self) -> str:
        """Return this program's version."""

    @property
    def pid(self) -> int:
        """Return the monitor's process id."""

    def now(self) -> Moment:
        """Return what time it is."""

    def status(self) -> Status:
        """Return how the daemon is."""

    @property
    def allowed_by_hand(self) -> Iterator[Network]:
        """Return the prefixes that need no knock and are not in the configuration."""

    def authorize(
        self, source: Source, services: frozenset[Service] | None, windows_s: Windows
    ) -> Sequence[Service]:
        """Let `source` in, to all services if None; return which those are. Raise SpaleError."""

    def withdraw(self, source: Source, services: frozenset[Service] | None) -> Withdrawn:
        """End what was granted to `source` by hand, for all services if None; raise SpaleError."""

    def allow(self, prefix: Network) -> None:
        """Let `prefix` in without a knock from now on; raise SpaleError."""

    def disallow(self, prefix: Network) -> None:
        """Take that back; raise SpaleError, also if it comes from the configuration."""

    def confirm(self) -> None:
        """Let a trial go on for good; raise UsageError if there is none."""

    def revoke(self, client: str) -> Sequence[Revoked]:
        """End what `client` has by now, and return what that was; raise SpaleError."""

    def reload(self, tell: TellReload) -> None:
        """Read the configuration again, and tell, later, what came of it."""
