# SPDX-License-Identifier: MIT
"""The table of spec.md ("The packet's way in"): every cell, and what each packet writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import packets as p
import rows_headers
import table
from books import PORT, Trace, holding, key_of, session, tracking
from machine import NEVER, SECOND, Machine, client
from packets import ACK, FIN, RST, SYN
from rows_sources import LOOPBACK, MAPPED, from6
from table import BOTH_PORT, ETHERNET, FAMILIES, UDP_PORT, Row, allowed, frame, granted

from spale_bpf._abi import Flag, Reason, SessionState

if TYPE_CHECKING:
    from collections.abc import Iterator

FLAGS = {"new": (SYN,), "end": (FIN | ACK, RST), "other": (ACK,), "bad": (SYN | ACK,)}
"""One or two of each kind; rows_grants.py has more."""

GRANTS = {
    "live": (table.live, None),
    "grace": (table.grace, Reason.GRANT_GRACE),
    "dead": (table.dead, Reason.GRANT_DEAD),
    "ended": (table.ended, Reason.GRANT_DEAD),
    "none": (None, Reason.NO_GRANT),
}
"""The grants, and why they refuse what they refuse."""

SESSIONS = {
    "nothing": tracking(),
    "open": session(SessionState.OPEN, 50),
    "silent": session(SessionState.OPEN, 70),
    "closing": session(SessionState.CLOSING, 110),
    "closed": session(SessionState.CLOSING, 130),
}
"""SESSION_SEC is 60: `silent` and `closed` are over, and only the sweep has not been there yet."""

NONE, OPENED, USED, CLOSED = Trace.NONE, Trace.OPENED, Trace.USED, Trace.CLOSED
DROP = None

TABLE: dict[tuple[str, str], tuple[Trace | None, ...]] = {
    #                 nothing open    silent  closing closed
    ("live", "new"): (OPENED, OPENED, OPENED, OPENED, OPENED),
    ("live", "end"): (NONE, CLOSED, CLOSED, NONE, NONE),
    ("live", "other"): (NONE, NONE, NONE, NONE, NONE),
    ("live", "bad"): (NONE, NONE, NONE, NONE, NONE),
    ("grace", "new"): (OPENED, OPENED, OPENED, OPENED, OPENED),
    ("grace", "end"): (DROP, CLOSED, DROP, USED, DROP),
    ("grace", "other"): (DROP, USED, DROP, USED, DROP),
    ("grace", "bad"): (DROP, DROP, DROP, DROP, DROP),
    **{
        (grant, kind): cells
        for grant in ("dead", "ended", "none")
        for kind, cells in {
            "new": (DROP, DROP, DROP, DROP, DROP),
            "end": (DROP, CLOSED, DROP, USED, DROP),
            "other": (DROP, USED, DROP, USED, DROP),
            "bad": (DROP, DROP, DROP, DROP, DROP),
        }.items()
    },
}
"""Grant and packet, then for each session what the packet writes there; DROP: it does not pass."""


def cell_rows() -> Iterator[Row]:
    """Return every cell with every kind of flags in it. A grant is extended by what passes under it."""
    for (grant, kind), cells in TABLE.items():
        life, refusal = GRANTS[grant]
        own = granted(p.TCP, PORT, life) if life else _nothing
        by_grant = grant == "live" or (grant, kind) == ("grace", "new")
        for (name, state), trace in zip(SESSIONS.items(), cells, strict=True):
            reason = None if trace else Reason.BAD_FLAGS if kind == "bad" else refusal
            for flags in FLAGS[kind]:
                for family in FAMILIES:
                    packet = frame(family, p.tcp(PORT, flags), p.TCP)
                    yield Row(
                        f"session-{grant}-{kind}-{flags:02x}-{name}-ipv{family}",
                        packet,
                        reason,
                        (state, own),
                        extends=by_grant,
                        leaves=trace or NONE,
                    )


def _nothing(_: Machine) -> None:
    pass


def untracked(loaded: Machine) -> None:
    """Switch tracking off: SESSION_SEC=0."""
    loaded.settings()


def window_rows() -> Iterator[Row]:
    """Return other windows: SESSION_SEC does not touch CLOSING, and 0 makes the grant decide alone."""
    live = granted(p.TCP, PORT, table.live)
    for family in FAMILIES:
        data, end = (frame(family, p.tcp(PORT, flags), p.TCP) for flags in (ACK, FIN | ACK))
        for name, window_ns in (("long", 3600 * SECOND), ("endless", NEVER)):
            longer = tracking(window_ns)
            state = (SESSIONS["closed"], longer)
            yield Row(f"session-{name}-closed-ipv{family}", data, Reason.NO_GRANT, state)
            yield Row(
                f"session-{name}-silent-ipv{family}", data, None, (SESSIONS["silent"], longer), leaves=USED
            )
        brief = (SESSIONS["closing"], tracking(SECOND))
        yield Row(f"session-brief-closing-ipv{family}", data, None, brief, leaves=USED)
        ahead = session(SessionState.CLOSING, -500)
        yield Row(f"session-ahead-ipv{family}", data, None, (ahead,))
        for name in ("open", "closing"):
            state = (SESSIONS[name], untracked)
            yield Row(f"session-off-{name}-ipv{family}", data, Reason.NO_GRANT, state)
            yield Row(f"session-off-{name}-live-ipv{family}", end, None, (*state, live), extends=True)
        syn = frame(family, p.tcp(PORT, SYN), p.TCP)
        yield Row(f"session-off-new-ipv{family}", syn, None, (live, untracked), extends=True)


def key_rows() -> Iterator[Row]:
    """Return sessions that differ from the packet's in one field of the key."""
    for family in FAMILIES:
        data = frame(family, p.tcp(PORT, ACK), p.TCP)
        other = p.packed({4: p.OTHER4, 6: p.OTHER6}[family])
        server = {4: "10.0.0.2", 6: "2001:db8::2"}[family]
        for name, key in {
            "source": key_of(family, source=other),
            "source-port": key_of(family, source_port=p.SOURCE_PORT + 1),
            "source-port-swapped": key_of(
                family, source_port=int.from_bytes(p.SOURCE_PORT.to_bytes(2, "little"), "big")
            ),
            "destination": key_of(family, destination=server),
            "port": key_of(family, port=BOTH_PORT),
            "family": key_of(10 - family),
        }.items():
            state = (session(SessionState.OPEN, 5, key),)
            yield Row(f"session-other-{name}-ipv{family}", data, Reason.NO_GRANT, state)
        elsewhere = key_of(family, source_port=p.SOURCE_PORT + 1)
        yield Row(
            f"session-second-ipv{family}",
            frame(family, p.tcp(PORT, SYN), p.TCP),
            None,
            (session(SessionState.OPEN, 5, elsewhere), granted(p.TCP, PORT, table.live)),
            extends=True,
            leaves=OPENED,
        )


def kin_rows() -> Iterator[Row]:
    """Return packets that no session lets in, and such that open none: UDP, always allowed, mapped."""
    for family in FAMILIES:
        datagram = frame(family, p.udp(UDP_PORT, bytes(20)), p.UDP)
        name = f"session-udp-ipv{family}"
        yield Row(
            name, datagram, Reason.NO_GRANT, (session(SessionState.OPEN, 5, key_of(family, port=UDP_PORT)),)
        )
        state = (tracking(), granted(p.UDP, UDP_PORT, table.live))
        yield Row(f"{name}-live", datagram, None, state, extends=True)
        state = (tracking(), granted(p.UDP, UDP_PORT, table.grace))
        yield Row(f"{name}-grace", datagram, None, state, extends=True)
        address = {4: p.CLIENT4, 6: p.CLIENT6}[family]
        allow = (allowed(family, address, 128), tracking(flags=Flag.ALWAYS_ALLOW))
        for flags in (SYN, ACK, FIN):
            packet = frame(family, p.tcp(PORT, flags), p.TCP)
            state = (SESSIONS["open"], granted(p.TCP, PORT, table.live), *allow)
            yield Row(f"session-allowed-{flags:02x}-ipv{family}", packet, None, state)
        first = _first_fragment(family, p.tcp(PORT, ACK)[:15])
        yield Row(f"session-first-ipv{family}", first, Reason.BAD_FLAGS, (SESSIONS["open"],))
        first = _first_fragment(family, p.tcp(PORT, ACK)[:16])
        yield Row(f"session-first-whole-ipv{family}", first, None, (SESSIONS["open"],), leaves=USED)
        cut = frame(family, p.tcp(PORT, ACK)[:13], p.TCP)
        yield Row(f"session-cut-ipv{family}", cut, Reason.BAD_FLAGS, (SESSIONS["open"],), exact=True)
    key = key_of(6, source=p.packed(MAPPED))
    mapped = (session(SessionState.OPEN, 5, key),)
    yield Row("session-mapped", from6(MAPPED, p.tcp(PORT, ACK)), Reason.MAPPED, mapped, how=ETHERNET)


def _first_fragment(family: int, segment: bytes) -> bytes:
    if family == 4:
        return rows_headers.plain4(segment, fragment=p.IPV4_MORE)
    return table.chained(segment, p.TCP, (p.FRAGMENT, p.IPV6_MORE))


def scoped_rows() -> Iterator[Row]:
    """Return sessions of a link-local source: they hold on one interface."""
    packed = p.packed(p.LINK_LOCAL6)
    data = from6(p.LINK_LOCAL6, p.tcp(PORT, ACK))
    for ifindex, reason in ((LOOPBACK, None), (0x01020304, Reason.NO_GRANT), (0, Reason.NO_GRANT)):
        source = packed[:4] + ifindex.to_bytes(4, "big") + packed[8:]
        key = key_of(6, source=source)
        state, leaves = (session(SessionState.OPEN, 5, key),), NONE if reason else USED
        yield Row(f"link-local-session-{ifindex}", data, reason, state, leaves=leaves, key=key)
    source = packed[:4] + LOOPBACK.to_bytes(4, "big") + packed[8:]
    yield Row(
        "link-local-session-new",
        from6(p.LINK_LOCAL6, p.tcp(PORT, SYN)),
        None,
        (tracking(), granted(p.TCP, PORT, table.live, p.LINK_LOCAL6, LOOPBACK)),
        extends=True,
        leaves=OPENED,
        key=key_of(6, source=source),
    )


def room_rows() -> Iterator[Row]:
    """Return SYNs of clients that hold many sessions: beyond 64 they pass and are not tracked."""
    for family in FAMILIES:
        syn = frame(family, p.tcp(PORT, SYN), p.TCP)
        for grant in (table.live, table.grace):
            own = granted(p.TCP, PORT, grant)
            name = f"session-room-{grant.__name__}-ipv{family}"
            for held in (0, 1, 63):
                state = (tracking(), own, holding(held))
                yield Row(f"{name}-{held}", syn, None, state, extends=True, leaves=OPENED)
            for held in (64, 65, 2**32 - 1):
                state = (tracking(), own, holding(held))
                yield Row(f"{name}-{held}", syn, Reason.UNTRACKED, state, extends=True, source=client(family))
            state = (SESSIONS["silent"], own, holding(64))
            yield Row(f"{name}-again", syn, None, state, extends=True, leaves=OPENED)


def header_rows() -> Iterator[Row]:
    """Return SYNs under a LIVE grant in every dress, all of them the same session's."""
    for row in rows_headers.ROWS:
        if row.extends and row.state == rows_headers.LIVE_TCP and not row.exact and "first" not in row.name:
            yield row._replace(name=f"session-{row.name}", state=(tracking(), *row.state), leaves=OPENED)


ROWS = (
    *cell_rows(),
    *window_rows(),
    *key_rows(),
    *kin_rows(),
    *scoped_rows(),
    *room_rows(),
    *header_rows(),
)
