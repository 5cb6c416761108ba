# SPDX-License-Identifier: MIT
"""IPv6: whole packets behind a routing header, which a host that was told to unpacks where the route ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import packets as p
from frame_table import EVERYWHERE, PROTOCOLS, TAKEN, Row, both, packet, segment
from frames_ipv6 import SERVER, TYPE3_DONE, routing
from lane import CLIENTS, SERVERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ways import Way

IN_IPV4, IN_IPV6 = 4, 41  # protocols: what is inside is IPv4, is IPv6

# Linux unpacks IPv6 behind type 3 (RFC 6554), IPv4 and IPv6 behind type 4 (RFC 8754 section 4.3.1.2).
ROUTES = {
    "type3": (routing(3, 0, SERVER), TYPE3_DONE),
    "type4": (routing(4, 0, SERVER), TAKEN),
    "type4-to-itself": (routing(4, 1, SERVER, SERVER), TAKEN),
}
SEGMENTS, _ = ROUTES["type4"]


def nested(way: Way, body: bytes, *before: int) -> list[bytes]:
    """Return a probe behind a routing header made of `body`; other headers stand before that."""
    inner = IN_IPV4 if way.family == 4 else IN_IPV6
    header = bytes((inner, (len(body) + 2) // 8 - 1)) + body
    content, following = p.extended(header + packet(way, segment(way)), p.ROUTING, *before)
    outer = p.ipv6(content, following, source=CLIENTS[6], destination=SERVERS[6])
    return [p.ethernet(outer, p.ETH_IPV6)]


def rows() -> Iterator[Row]:
    """Return probes at the end of a route; they are dropped whatever their port, as nobody reads so far."""
    for name, (body, fate) in ROUTES.items():
        yield from both(f"{name}-in-ipv6", 6, lambda way, b=body: nested(way, b), fate, unread=EVERYWHERE)
    behind = (p.HOPOPTS, p.DSTOPTS)
    yield from both("hop-dst-type4-in-ipv6", 6, lambda way: nested(way, SEGMENTS, *behind), unread=EVERYWHERE)
    for protocol in PROTOCOLS:
        yield Row("type4-in-ipv4", 4, protocol, lambda way: nested(way, SEGMENTS), unread=EVERYWHERE)


ROWS = tuple(rows())
