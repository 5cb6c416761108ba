# SPDX-License-Identifier: MIT
"""The table of spec.md ("The packet's way in"), its column "no session"."""

from __future__ import annotations

from typing import TYPE_CHECKING

import packets as p
import table
from packets import ACK, CWR, ECE, FIN, PSH, RST, SYN, URG
from table import BOTH_PORT, FAMILIES, TCP_PORT, UDP_PORT, Row, frame, granted

from spale_bpf._abi import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

NEW = (SYN, SYN | ECE | CWR, SYN | PSH | URG)
END = (FIN, RST, FIN | ACK, RST | ACK, FIN | RST, FIN | PSH | ACK)
OTHER = (0, ACK, PSH | ACK, URG, ECE | CWR | ACK)
BAD = (SYN | ACK, SYN | FIN, SYN | RST, SYN | ACK | FIN, SYN | RST | ACK, 0xFF)

LIVE = (table.live, table.endless)
GRACE = (table.grace, table.rearmed)
DEAD = (table.dead, table.graceless, table.ended)

TABLE = (
    (LIVE, NEW, None),
    (LIVE, END, None),
    (LIVE, OTHER, None),
    (LIVE, BAD, None),
    (GRACE, NEW, None),
    (GRACE, END, Reason.GRANT_GRACE),
    (GRACE, OTHER, Reason.GRANT_GRACE),
    (GRACE, BAD, Reason.BAD_FLAGS),
    (DEAD, NEW, Reason.GRANT_DEAD),
    (DEAD, END, Reason.GRANT_DEAD),
    (DEAD, OTHER, Reason.GRANT_DEAD),
    (DEAD, BAD, Reason.BAD_FLAGS),
    ((None,), NEW, Reason.NO_GRANT),
    ((None,), END, Reason.NO_GRANT),
    ((None,), OTHER, Reason.NO_GRANT),
    ((None,), BAD, Reason.BAD_FLAGS),
)
"""Grants, flags, and the reason for the drop; None: it passes and the grant is extended."""


def tcp_rows() -> Iterator[Row]:
    """Return every kind of grant with every kind of TCP flags."""
    for lives, kinds, reason in TABLE:
        for life in lives:
            for flags in kinds:
                for family in FAMILIES:
                    name = f"{life.__name__ if life else 'none'}-tcp-{flags:02x}-ipv{family}"
                    state = (granted(p.TCP, TCP_PORT, life),) if life else ()
                    packet = frame(family, p.tcp(TCP_PORT, flags), p.TCP)
                    yield Row(name, packet, reason, state, extends=reason is None)


def udp_rows() -> Iterator[Row]:
    """Return every kind of grant with UDP, which is always NEW."""
    for lives, kinds, reason in TABLE:
        for life in lives if kinds is NEW else ():
            for family in FAMILIES:
                name = f"{life.__name__ if life else 'none'}-udp-ipv{family}"
                state = (granted(p.UDP, UDP_PORT, life),) if life else ()
                packet = frame(family, p.udp(UDP_PORT, b"x"), p.UDP)
                yield Row(name, packet, reason, state, extends=reason is None)


def key_rows() -> Iterator[Row]:
    """Return packets that differ from a LIVE grant in one field of its key."""
    tcp = granted(p.TCP, BOTH_PORT, table.live)
    udp = granted(p.UDP, BOTH_PORT, table.live)
    for family in FAMILIES:
        knock_tcp = frame(family, p.tcp(BOTH_PORT, SYN), p.TCP)
        knock_udp = frame(family, p.udp(BOTH_PORT), p.UDP)
        yield Row(f"tcp-grant-tcp-ipv{family}", knock_tcp, None, (tcp,), extends=True)
        yield Row(f"tcp-grant-udp-ipv{family}", knock_udp, Reason.NO_GRANT, (tcp,))
        yield Row(f"udp-grant-tcp-ipv{family}", knock_tcp, Reason.NO_GRANT, (udp,))
        yield Row(f"udp-grant-udp-ipv{family}", knock_udp, None, (udp,), extends=True)
        other_port = frame(family, p.tcp(TCP_PORT, SYN), p.TCP)
        yield Row(f"other-port-ipv{family}", other_port, Reason.NO_GRANT, (tcp,))
        unprotected = frame(family, p.udp(TCP_PORT), p.UDP)
        yield Row(f"tcp-only-port-udp-ipv{family}", unprotected, None, (tcp,))
        unprotected = frame(family, p.tcp(UDP_PORT, SYN), p.TCP)
        yield Row(f"udp-only-port-tcp-ipv{family}", unprotected, None, (tcp,))
    live = (granted(p.TCP, TCP_PORT, table.live),)
    packet = p.ethernet(p.ipv4(p.tcp(TCP_PORT, SYN), p.TCP, source=p.OTHER4), p.ETH_IPV4)
    yield Row("other-source-ipv4", packet, Reason.NO_GRANT, live, source=p.packed(p.OTHER4))
    packet = p.ethernet(p.ipv6(p.tcp(TCP_PORT, SYN), p.TCP, source=p.OTHER6), p.ETH_IPV6)
    yield Row("other-source-ipv6", packet, Reason.NO_GRANT, live, source=p.packed(p.OTHER6))


ROWS = (*tcp_rows(), *udp_rows(), *key_rows())
