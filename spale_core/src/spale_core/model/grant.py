# SPDX-License-Identifier: MIT
"""What is let in: grants and sessions."""

from __future__ import annotations

import enum
from typing import NamedTuple

from attrs import field, frozen

from spale_core.model.network import NEVER_NS, Address, Service, Source, unmapped


@frozen
class Grant:
    """One source may reach one service: what the kernel enforces.

    LIVE while now - last_ns <= idle_ns, GRACE while it is <= grace_ns, and DEAD from end_ns on (spec.md,
    "The packet's way in"). `NEVER_NS` stands for -1.
    """

    source: Source
    service: Service
    last_ns: int
    idle_ns: int
    grace_ns: int
    end_ns: int

    @property
    def dead_ns(self) -> int:
        """Return the first moment at which this grant, if nothing extends it, is DEAD."""
        window = max(self.idle_ns, self.grace_ns)
        return min(self.end_ns, NEVER_NS if window == NEVER_NS else self.last_ns + window + 1)


@frozen
class Holding:
    """A client's share in a grant: one kernel grant is the union of what several clients hold."""

    client: str
    grant: Grant


Span = tuple[int, int]
"""From when until when, both included, in nanoseconds of CLOCK_MONOTONIC; `NEVER_NS` while it lasts."""


@frozen
class Tenure:
    """When a client held a grant for `source` and `service`: whose SYN passed then may be its session.

    `spans` are in order and apart from each other; only those from which a session may be left are kept.
    """

    client: str
    source: Source
    service: Service
    spans: tuple[Span, ...]


class SessionState(enum.Enum):
    """Whether a FIN or RST has passed; only the host knows whether it took it."""

    OPEN = "open"
    CLOSING = "closing"


class Connection(NamedTuple):
    """What tells a TCP connection from all others: both ends' addresses and ports."""

    source: Source
    service: Service
    destination: Address
    source_port: int


@frozen
class Session:
    """One TCP connection that was let in and may outlive its grant (spec.md, "The packet's way in").

    `opened_ns` is when the SYN passed that opened or restarted it, 0 for one that was adopted; `last_ns` is
    that SYN, the last packet that the session let in, or its renewal while the grant is LIVE.
    """

    source: Source
    service: Service
    destination: Address = field(converter=unmapped)
    source_port: int
    opened_ns: int
    last_ns: int
    state: SessionState = SessionState.OPEN

    @property
    def connection(self) -> Connection:
        """Return the connection that it is for."""
        return Connection(self.source, self.service, self.destination, self.source_port)
