# SPDX-License-Identifier: MIT
"""What would become of packets: asked of a second instance of the program, so that nothing changes."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from spale_core.model.grant import Grant, Session
    from spale_core.model.network import Network, Service, Source
    from spale_core.model.reason import Reason


class PacketKind(enum.Enum):
    """The packets of a rehearsal."""

    SYN = "syn"
    """Opens a new TCP connection."""
    ACK = "ack"
    """Belongs to a TCP connection that stands: neither SYN, FIN nor RST."""
    UDP = "udp"


class Admission(enum.Enum):
    """By what a packet passes."""

    UNPROTECTED = "unprotected"
    ALWAYS_ALLOWED = "always_allowed"
    LIVE = "live"
    """By its grant, which is LIVE."""
    GRACE = "grace"
    """By its grant, which is in GRACE and would be LIVE after it."""
    SESSION = "session"
    LOG_ONLY = "log_only"
    """By nothing: it would be dropped, if anything were."""


@frozen
class Rehearsal:
    """The question: packets from `source` to `service`, and what there is to judge them by.

    `services` are all that are protected. Of `grants` and `sessions` those of `source` count, with their
    times as the kernel has them; a session that the source has at `service` is asked about.
    """

    source: Source
    service: Service
    services: frozenset[Service]
    always_allow: tuple[Network, ...] = ()
    grants: tuple[Grant, ...] = ()
    sessions: tuple[Session, ...] = ()


@frozen
class Rehearsed:
    """What would become of one packet: whether it `passed`, and `by` what.

    `reason` is why it was dropped; of one that passed, why it would have been but for LOG_ONLY, or UNTRACKED.
    `session` is the one that an ACK belongs to, None for that of a connection that nobody knows.
    """

    kind: PacketKind
    passed: bool
    by: Admission | None
    reason: Reason | None
    session: Session | None = None
