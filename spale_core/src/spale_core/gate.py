# SPDX-License-Identifier: MIT
"""May this claim come in at all? The questions that need no windows and no other claims.

Each check returns a `Refused`, or None if it has no objection. The order of the checks is the monitor's
(`reconcile`); it follows wire.md, "What the server does, in this order".
"""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from spale_core.config.settings import V1_STEP_S
from spale_core.model import Reason, Refused

if TYPE_CHECKING:
    from collections.abc import Container

    from spale_core.config.settings import ClientSettings
    from spale_core.model import Claim, Moment, Source

CLAIMS_PER_SECOND = 10
"""How many claims of one client are judged in one second (spec.md, "Processes")."""

_BROADCAST = IPv4Address("255.255.255.255")
_NS_PER_S = 1_000_000_000
_V1_STEP_MS = V1_STEP_S * 1000


class ClaimRate:
    """Counts each client's claims, so that a listener that was taken over cannot flood the monitor."""

    def __init__(self) -> None:
        """Begin with no claims counted."""
        self._counted: dict[int, tuple[int, int]] = {}

    def check(self, claim: Claim, now: Moment) -> Refused | None:
        """Count `claim`; refuse it if its client has had `CLAIMS_PER_SECOND` in this second."""
        second = now.monotonic_ns // _NS_PER_S
        counted_in, count = self._counted.get(claim.client, (second, 0))
        if counted_in != second:
            count = 0
        self._counted[claim.client] = (second, count + 1)
        if count < CLAIMS_PER_SECOND:
            return None
        return Refused(Reason.CLAIM_RATE, claim.source, claim.client)


def check_expiry(claim: Claim, client: ClientSettings, now: Moment) -> Refused | None:
    """Refuse a client whose time is over."""
    if client.expires_unix_ms is None or now.unix_ms <= client.expires_unix_ms:
        return None
    return Refused(Reason.CLIENT_EXPIRED, claim.source, claim.client)


def check_time(claim: Claim, now: Moment, max_skew_s: int, *, v1: bool = False) -> Refused | None:
    """Refuse a time that is more than `max_skew_s` from the clock, in either direction alike.

    Version 1 says a step, whose end is the claim's time: only the next to the present one are near enough.
    """
    ahead_ms = claim.unix_ms - now.unix_ms
    if _is_near_step(ahead_ms, max_skew_s) if v1 else abs(ahead_ms) <= max_skew_s * 1000:
        return None
    direction = "ahead" if ahead_ms > 0 else "behind"
    off_ms = ahead_ms - _V1_STEP_MS if v1 and ahead_ms > 0 else abs(ahead_ms)
    detail = f"{off_ms / 1000:.3f} s {direction}"
    return Refused(Reason.SKEW, claim.source, claim.client, detail=detail)


def _is_near_step(ahead_ms: int, max_skew_s: int) -> bool:
    """Tell whether the step that ends so far ahead is near enough."""
    near_ms = _near_ms(max_skew_s)
    return -near_ms < ahead_ms <= _V1_STEP_MS + near_ms


def _near_ms(max_skew_s: int) -> int:
    """Return how far from the clock a step of version 1 may begin or end: its neighbours may, at most."""
    return min(max_skew_s * 1000, _V1_STEP_MS)


def lost_until_unix_ms(lost_unix_ms: int, max_skew_s: int, *, bound: bool, v1: bool = False) -> int:
    """Return up to which time a datagram may have been used before the memory was lost at `lost_unix_ms`.

    An unbound one may come from a clock that is ahead, and one of version 1 has the end of its step for a
    time. A bound one can at most be sent again from the very address that it was made for.
    """
    if bound:
        return lost_unix_ms
    ahead_ms = max_skew_s * 1000
    return lost_unix_ms + (max(ahead_ms, _V1_STEP_MS + _near_ms(max_skew_s)) if v1 else ahead_ms)


def check_memory(claim: Claim, lost_unix_ms: int, max_skew_s: int, *, v1: bool = False) -> Refused | None:
    """Refuse what may have been used before the replay memory was lost."""
    until_ms = lost_until_unix_ms(lost_unix_ms, max_skew_s, bound=claim.bound, v1=v1)
    if claim.unix_ms > until_ms:
        return None
    return Refused(Reason.MEMORY_LOST, claim.source, claim.client)


def check_interface(claim: Claim, guarded: Container[int] | None) -> Refused | None:
    """Refuse what did not arrive on one of the interfaces that are `guarded` now; None: do not ask."""
    if guarded is None or claim.ifindex in guarded:
        return None
    return Refused(Reason.INTERFACE, claim.source, claim.client)


def check_source(claim: Claim, client: ClientSettings) -> Refused | None:
    """Refuse an address that no host has, and one that the client may not knock from."""
    if not is_host(claim.source):
        return Refused(Reason.BAD_SOURCE, claim.source, claim.client)
    address = claim.source.address
    if client.sources and not any(address in network for network in client.sources):
        return Refused(Reason.SOURCE_NOT_ALLOWED, claim.source, claim.client)
    return None


def check_services(claim: Claim, client: ClientSettings) -> Refused | None:
    """Refuse the whole claim if it asks for one service that the client may not have."""
    surplus = sorted(claim.services - client.services)
    if not surplus and client.services:
        return None
    detail = ",".join(str(service) for service in surplus)
    return Refused(Reason.SERVICES, claim.source, claim.client, detail=detail)


def is_host(source: Source) -> bool:
    """Tell whether a packet that is no forgery can come from `source`."""
    address = source.address
    special = address.is_multicast or address.is_loopback or address.is_unspecified
    return not special and address != _BROADCAST
