# SPDX-License-Identifier: MIT
"""The packet table: what a row is, and the states that rows begin with."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import knock
import packets as p
from books import Books, Trace
from machine import NEVER, SECOND, Entry, Machine, client, now_ns

from spale_bpf import _abi
from spale_bpf._abi import REASON_FIRST_DROP, Flag, Reason, Service

if TYPE_CHECKING:
    from collections.abc import Callable

    State = Callable[[Machine], None]

TCP_PORT, UDP_PORT, BOTH_PORT, SPA_PORT, OPEN_PORT = 22, 5353, 443, 55555, 8080
"""Protected for TCP, for UDP, for both; the SPA port; protected for nothing."""

FAMILIES = (4, 6)
EVERY = tuple(Entry)
ETHERNET = (Entry.TC_ETH, Entry.XDP)


class Row(NamedTuple):
    """One packet and what must become of it.

    `reason` is the one that is counted, None if none is: then the packet passes. `state` makes the row's
    state out of the common one, `first` are packets that must pass before. `extends` says that the packet
    moves the `last` of one grant of the state, `leaves` what it does to the client's session, or to `key`.
    `source` is what the counter must show. `exact`: bytes behind the packet would change it.
    """

    name: str
    frame: bytes
    reason: Reason | None
    state: tuple[State, ...] = ()
    first: tuple[bytes, ...] = ()
    extends: bool = False
    leaves: Trace = Trace.NONE
    key: _abi.SessionKey | None = None
    source: bytes | None = None
    how: tuple[Entry, ...] = EVERY
    exact: bool = False


def prepare(loaded: Machine) -> None:
    """Make the common state: services, the SPA port with one tag, no limit, no grants, no tracking."""
    loaded.reset()
    loaded.service(TCP_PORT, Service.TCP)
    loaded.service(UDP_PORT, Service.UDP)
    loaded.service(BOTH_PORT, Service.TCP | Service.UDP)
    loaded.service(SPA_PORT, Service.SPA)
    loaded.tag(knock.TAG, knock.MAC_KEY, 0, NEVER)


def check(row: Row, loaded: Machine) -> None:
    """Run a row in a rig that is used for nothing else meanwhile."""
    prepare(loaded)
    for change in row.state:
        change(loaded)
    for frame in row.first:
        outcome = loaded.run(frame)
        assert outcome.passed
        assert not outcome.counted or loaded.flags
    books = Books(loaded)
    outcome = loaded.run(row.frame)
    assert tuple(outcome.counted) == ((row.reason,) if row.reason else ())
    dropped = row.reason is not None and row.reason >= REASON_FIRST_DROP
    assert outcome.passed == (not dropped or Flag.LOG_ONLY in loaded.flags)
    if row.source is not None:
        assert outcome.counted[row.reason] == row.source
    moved = [key for key, before in loaded.installed.items() if _moved(before, loaded.granted(*key))]
    assert len(moved) == row.extends
    books.check(row.leaves, row.key)


def _moved(before: _abi.Grant, after: _abi.Grant | None) -> bool:
    """Return whether a packet has moved `last`; nothing else of a grant is a packet's to change."""
    assert after is not None
    assert after[1:] == before[1:]
    assert after.last_ns >= before.last_ns
    return after.last_ns > before.last_ns


def frame(family: int, payload: bytes, protocol: int) -> bytes:
    """Return a plain frame from the client of `family` to the server."""
    if family == 4:
        return p.ethernet(p.ipv4(payload, protocol), p.ETH_IPV4)
    return p.ethernet(p.ipv6(payload, protocol), p.ETH_IPV6)


def chained(payload: bytes, protocol: int, *kinds: int | tuple[int, int]) -> bytes:
    """Return an IPv6 frame with extension headers."""
    return p.ethernet(p.ipv6(*p.extended(payload, protocol, *kinds)), p.ETH_IPV6)


def granted(
    protocol: int,
    port: int,
    life: Callable[[], _abi.Grant],
    source: str | None = None,
    ifindex: int = 0,
) -> State:
    """Return a state with a grant for `source`, or for the clients of both families."""

    def state(loaded: Machine) -> None:
        sources = [p.packed(source)] if source else [client(family) for family in FAMILIES]
        for packed in sources:
            scoped = packed[:4] + ifindex.to_bytes(4, "big") + packed[8:] if ifindex else packed
            loaded.grant(scoped, protocol, port, life())

    return state


def allowed(family: int, address: str, bits: int) -> State:
    """Return a state in which a prefix is always allowed; `bits` of the 128."""

    def state(loaded: Machine) -> None:
        loaded.settings(Flag.ALWAYS_ALLOW)
        loaded.always_allow(family, p.packed(address), bits)

    return state


def live() -> _abi.Grant:
    """Return a grant that is LIVE for a minute."""
    return _abi.Grant(now_ns() - SECOND, 60 * SECOND, 300 * SECOND, now_ns() + 600 * SECOND)


def grace() -> _abi.Grant:
    """Return a grant that is in GRACE for most of a minute."""
    return _abi.Grant(now_ns() - 5 * SECOND, SECOND, 60 * SECOND, NEVER)


def dead() -> _abi.Grant:
    """Return a grant whose windows are over."""
    return _abi.Grant(now_ns() - 5 * SECOND, SECOND, 2 * SECOND, NEVER)


def graceless() -> _abi.Grant:
    """Return a grant whose idle window is over and whose grace was shorter."""
    return _abi.Grant(now_ns() - 5 * SECOND, 2 * SECOND, SECOND, NEVER)


def ended() -> _abi.Grant:
    """Return a grant that is busy, but MAX_SEC after its knock is over."""
    return _abi.Grant(now_ns() - SECOND, NEVER, NEVER, now_ns())


def endless() -> _abi.Grant:
    """Return a grant that was told to live for ever, last used at boot."""
    return _abi.Grant(0, NEVER, 0, NEVER)


def rearmed() -> _abi.Grant:
    """Return a grant of which only the grace never ends."""
    return _abi.Grant(0, SECOND, NEVER, NEVER)
