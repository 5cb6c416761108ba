# SPDX-License-Identifier: MIT
"""The values that the whole framework speaks in: frozen, validated at birth, no I/O.

Units are in the names: ``_s`` seconds, ``_ns`` nanoseconds of CLOCK_MONOTONIC (what the kernel's
bpf_ktime_get_ns reads), ``unix_ms`` milliseconds since 1970 (UTC).
"""

from spale_core.model.attachment import Attachment, AttachMode, Bucket, Counter, Loss, Outcome
from spale_core.model.finding import Finding, FindingState
from spale_core.model.grant import Connection, Grant, Holding, Session, SessionState, Span, Tenure
from spale_core.model.knock import Claim, Datagram, Granted, KernelTag, Refused, Tag
from spale_core.model.network import EPOCH_S, NEVER_NS, Address, Moment, Network, Protocol, Service, Source
from spale_core.model.reason import Reason
from spale_core.model.rehearsal import Admission, PacketKind, Rehearsal, Rehearsed

__all__ = [
    "EPOCH_S",
    "NEVER_NS",
    "Address",
    "Admission",
    "AttachMode",
    "Attachment",
    "Bucket",
    "Claim",
    "Connection",
    "Counter",
    "Datagram",
    "Finding",
    "FindingState",
    "Grant",
    "Granted",
    "Holding",
    "KernelTag",
    "Loss",
    "Moment",
    "Network",
    "Outcome",
    "PacketKind",
    "Protocol",
    "Reason",
    "Refused",
    "Rehearsal",
    "Rehearsed",
    "Service",
    "Session",
    "SessionState",
    "Source",
    "Span",
    "Tag",
    "Tenure",
]
