# SPDX-License-Identifier: MIT
"""The values that the whole framework speaks in: frozen, validated at birth, no I/O.

Units are in the names: ``_s`` seconds, ``_ns`` nanoseconds of CLOCK_MONOTONIC (what the kernel's
bpf_ktime_get_ns reads), ``unix_ms`` milliseconds since 1970 (UTC).
"""

from spale_core.model.attachment import Attachment, AttachMode, Counter
from spale_core.model.grant import Connection, Grant, Holding, Session, SessionState
from spale_core.model.knock import Claim, Datagram, Granted, KernelTag, Refused, Tag
from spale_core.model.network import EPOCH_S, NEVER_NS, Address, Moment, Network, Protocol, Service, Source
from spale_core.model.reason import Reason

__all__ = [
    "EPOCH_S",
    "NEVER_NS",
    "Address",
    "AttachMode",
    "Attachment",
    "Claim",
    "Connection",
    "Counter",
    "Datagram",
    "Grant",
    "Granted",
    "Holding",
    "KernelTag",
    "Moment",
    "Network",
    "Protocol",
    "Reason",
    "Refused",
    "Service",
    "Session",
    "SessionState",
    "Source",
    "Tag",
]
