# SPDX-License-Identifier: MIT
"""The values that the whole framework speaks in: frozen, validated at birth, no I/O.

Units are in the names: ``_s`` seconds, ``_ns`` nanoseconds of CLOCK_MONOTONIC (what the kernel's
bpf_ktime_get_ns reads), ``unix_ms`` milliseconds since 1970 (UTC).

A module is loaded when the first of its names is asked for: somebody waits for spale-send, which needs two of
all these values, and making classes takes time (ADR 0124).
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spale_core.model.attachment import Attachment, AttachMode, Bucket, Counter, Loss, Outcome
    from spale_core.model.finding import Finding, FindingState
    from spale_core.model.grant import Connection, Grant, Holding, Session, SessionState, Span, Tenure
    from spale_core.model.knock import Claim, Datagram, Granted, KernelTag, Refused, Tag
    from spale_core.model.network import (
        EPOCH_S,
        NEVER_NS,
        Address,
        Moment,
        Network,
        Protocol,
        Service,
        Source,
    )
    from spale_core.model.reason import Reason
    from spale_core.model.rehearsal import Admission, PacketKind, Rehearsal, Rehearsed

_MODULES = {
    "attachment": ("Attachment", "AttachMode", "Bucket", "Counter", "Loss", "Outcome"),
    "finding": ("Finding", "FindingState"),
    "grant": ("Connection", "Grant", "Holding", "Session", "SessionState", "Span", "Tenure"),
    "knock": ("Claim", "Datagram", "Granted", "KernelTag", "Refused", "Tag"),
    "network": ("EPOCH_S", "NEVER_NS", "Address", "Moment", "Network", "Protocol", "Service", "Source"),
    "reason": ("Reason",),
    "rehearsal": ("Admission", "PacketKind", "Rehearsal", "Rehearsed"),
}

if not TYPE_CHECKING:  # else every name would be one of these, of any type

    def __getattr__(name: str) -> object:
        """Return a value's class from the module that it is in; raise AttributeError."""
        for module, names in _MODULES.items():
            if name in names:
                found = getattr(import_module(f"{__name__}.{module}"), name)
                globals()[name] = found
                return found
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


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
