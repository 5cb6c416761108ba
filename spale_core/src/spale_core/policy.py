# SPDX-License-Identifier: MIT
"""What a claim is worth: which grants with which windows, and what several clients' grants are together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from spale_core.model import NEVER_NS, Grant

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from spale_core.config.settings import ClientSettings
    from spale_core.model import Claim, Service, Source

NEVER_S = -1
"""How the configuration writes a window that never ends."""

_NS_PER_S = 1_000_000_000


def grants(claim: Claim, client: ClientSettings, now_ns: int) -> tuple[Grant, ...]:
    """Return what `claim`, whose services the client may have, opens from `now_ns` on.

    The client's own wish only narrows (spec.md, "Configuration").
    """
    idle_s, grace_s = windows_s(client.idle_s, client.grace_s, claim.idle_s)
    services = sorted(claim.services or client.services)
    return from_now(claim.source, services, (idle_s, grace_s, client.max_s), now_ns)


def from_now(
    source: Source, services: Iterable[Service], windows_s: tuple[int, int, int], now_ns: int
) -> tuple[Grant, ...]:
    """Return a grant for each of `services` from `now_ns` on, with idle, grace and max in seconds."""
    idle_s, grace_s, max_s = windows_s
    return tuple(
        Grant(
            source=source,
            service=service,
            last_ns=now_ns,
            idle_ns=_window_ns(idle_s),
            grace_ns=_window_ns(grace_s),
            end_ns=NEVER_NS if max_s == NEVER_S else now_ns + max_s * _NS_PER_S,
        )
        for service in services
    )


def windows_s(idle_s: int, grace_s: int, wish_s: int) -> tuple[int, int]:
    """Return the idle and the grace window in seconds, -1 for never; `wish_s` is the client's, 0 for none.

    With a wish, idle = min(wish, the server's) and grace = min(the server's, wish).
    """
    if wish_s <= 0:
        return idle_s, grace_s
    return _narrowed_s(idle_s, wish_s), _narrowed_s(grace_s, wish_s)


def union(shares: Sequence[Grant]) -> Grant:
    """Return one grant that is LIVE while one of `shares` is, and else in GRACE while one of them is.

    All are for one source and service, at least one is given, and none is DEAD. It holds as long as no packet
    comes; after one the monitor's sweep makes the union anew. A share may have been used last before this
    boot; the kernel, which knows no such times, is given what is left of its windows.
    """
    if len(shares) == 1 and shares[0].last_ns >= 0:
        return shares[0]
    last_ns = max(0, *(share.last_ns for share in shares))
    return Grant(
        source=shares[0].source,
        service=shares[0].service,
        last_ns=last_ns,
        idle_ns=_until_to_window_ns(max(_until_ns(s, s.idle_ns) for s in shares), last_ns),
        grace_ns=_until_to_window_ns(max(_until_ns(s, s.grace_ns) for s in shares), last_ns),
        end_ns=max(share.end_ns for share in shares),
    )


def cut(grant: Grant, client: ClientSettings, now_ns: int) -> Grant:
    """Return `grant` as far as it may go on under what `client` may have by now; it is never widened."""
    end_ns = NEVER_NS if client.max_s == NEVER_S else now_ns + client.max_s * _NS_PER_S
    return evolve(
        grant,
        idle_ns=min(grant.idle_ns, _window_ns(client.idle_s)),
        grace_ns=min(grant.grace_ns, _window_ns(client.grace_s)),
        end_ns=min(grant.end_ns, end_ns),
    )


def touched(share: Grant, packet_ns: int) -> bool:
    """Tell whether a packet let in at `packet_ns` extends `share`: it was LIVE or in GRACE then."""
    if packet_ns <= share.last_ns or packet_ns >= share.end_ns:
        return False
    return packet_ns <= max(_until_ns(share, share.idle_ns), _until_ns(share, share.grace_ns))


def extended(share: Grant, installed: Grant) -> Grant:
    """Return `share` with its last packet as the kernel's `installed` has it, if that one extended it.

    Where the windows are the same, each packet on the way was judged by the share's own; else only one that
    came while the share was LIVE or in GRACE is known to be its.
    """
    same = (share.idle_ns, share.grace_ns) == (installed.idle_ns, installed.grace_ns)
    if (same and share.last_ns < installed.last_ns < share.end_ns) or touched(share, installed.last_ns):
        return evolve(share, last_ns=installed.last_ns)
    return share


def slept(grant: Grant, slept_ns: int) -> Grant:
    """Return `grant` as if its last use were `slept_ns` longer ago, and its end so much nearer."""
    end_ns = NEVER_NS if grant.end_ns == NEVER_NS else grant.end_ns - slept_ns
    return evolve(grant, last_ns=grant.last_ns - slept_ns, end_ns=end_ns)


def _until_ns(share: Grant, window_ns: int) -> int:
    """Return the last moment of a window of `share`, its end taken into account."""
    if window_ns == NEVER_NS:
        return NEVER_NS if share.end_ns == NEVER_NS else share.end_ns - 1
    return min(share.last_ns + window_ns, share.end_ns if share.end_ns == NEVER_NS else share.end_ns - 1)


def _until_to_window_ns(until_ns: int, last_ns: int) -> int:
    return NEVER_NS if until_ns == NEVER_NS else max(0, until_ns - last_ns)


def _narrowed_s(server_s: int, wish_s: int) -> int:
    return wish_s if server_s == NEVER_S else min(server_s, wish_s)


def _window_ns(window_s: int) -> int:
    return NEVER_NS if window_s == NEVER_S else window_s * _NS_PER_S
