# SPDX-License-Identifier: MIT
"""What the state file says, row by row, and what a row's times mean now.

Times of holdings are nanoseconds of CLOCK_BOOTTIME: no step of the wall clock moves them. The file's header
has one instant on both clocks, the last one written; with it they are wall times too, so that a later boot
can tell how long ago something was. Times of tenures are of CLOCK_MONOTONIC, as the kernel's sessions have
them.
"""

from __future__ import annotations

from hashlib import blake2b
from ipaddress import ip_network
from struct import Struct
from typing import TYPE_CHECKING

from attrs import field, frozen

from spale_core.model import NEVER_NS, Grant, Holding, Protocol, Service, Source, Tenure

if TYPE_CHECKING:
    from spale_core.model import Network
    from spale_core.stores.hosttime import Reading

HoldingKey = tuple[str, bytes, int, int, int]
"""Client, source (16 bytes), its interface's index, IP protocol, port."""

Row = tuple[str | bytes | int, ...]

HOLDING_KEY = 5
"""How many columns name a holding; `IFINDEX` is one of them."""

IFINDEX = 2

_SPAN = Struct("<QQ")
_NEVER = -1
_SIGN = 2**63
_NS_PER_MS = 1_000_000


@frozen
class Header:
    """What holds for the whole file.

    `unix_ms`, `boottime_ns` and `suspended_ns` (BOOTTIME - MONOTONIC) are of the last transaction; `clean`
    says that it was the daemon's last word. What was remembered before `lost_unix_ms` is not known (0: all
    is).
    """

    boot_id: str
    clean: bool = field(converter=bool)
    unix_ms: int
    boottime_ns: int
    suspended_ns: int
    lost_unix_ms: int

    def is_trusted(self, boot_id: str) -> bool:
        """Tell whether, in the boot `boot_id`, nothing can be missing: the file is never synced."""
        return self.clean or self.boot_id == boot_id

    def shift_ns(self, boot_id: str, now: Reading, suspended_ns: int) -> int | None:
        """Return what makes a stored time one of CLOCK_MONOTONIC, None if nobody knows.

        In another boot the time between, by the wall clock, counts as silence; nobody knows it if that clock
        went back.
        """
        if self.boot_id == boot_id:
            return -suspended_ns
        away_ms = now.unix_ms - self.unix_ms
        if away_ms < 0:
            return None
        return now.monotonic_ns - away_ms * _NS_PER_MS - self.boottime_ns


def holding_key(client: str, source: Source, service: Service) -> HoldingKey:
    """Return the columns that name a holding."""
    return client, source.packed, source.ifindex, int(service.protocol), service.port


def holding_values(grant: Grant, suspended_ns: int) -> Row:
    """Return the other columns: last, idle, grace, end; -1 for never."""
    end_ns = _NEVER if grant.end_ns == NEVER_NS else grant.end_ns + suspended_ns
    return grant.last_ns + suspended_ns, _window(grant.idle_ns), _window(grant.grace_ns), end_ns


def holding(row: Row, shift_ns: int) -> Holding:
    """Return what a row says; `shift_ns` is the header's. Raise TypeError or ValueError for nonsense."""
    client, packed, ifindex, protocol, port, last_ns, idle_ns, grace_ns, end_ns = row
    if not isinstance(client, str) or not isinstance(packed, bytes):
        raise TypeError("a holding of nobody")
    grant = Grant(
        source=Source.unpack(packed, int(ifindex)),
        service=Service(Protocol(int(protocol)), int(port)),
        last_ns=int(last_ns) + shift_ns,
        idle_ns=_window_ns(int(idle_ns)),
        grace_ns=_window_ns(int(grace_ns)),
        end_ns=NEVER_NS if end_ns == _NEVER else int(end_ns) + shift_ns,
    )
    return Holding(client, grant)


def tenure_values(tenure: Tenure) -> Row:
    """Return the other column of a tenure, which is named as a holding is: its spans."""
    return (b"".join(_SPAN.pack(*span) for span in tenure.spans),)


def tenure(row: Row) -> Tenure:
    """Return what a row says. Raise TypeError or ValueError for nonsense."""
    client, packed, ifindex, protocol, port, spans = row
    if not isinstance(client, str) or not isinstance(packed, bytes) or not isinstance(spans, bytes):
        raise TypeError("a tenure of nobody")
    if len(spans) % _SPAN.size:
        raise ValueError("a span that is cut")
    source, service = Source.unpack(packed, int(ifindex)), Service(Protocol(int(protocol)), int(port))
    return Tenure(client, source, service, tuple(_SPAN.iter_unpack(spans)))


def allowed_key(prefix: Network) -> tuple[bytes, int]:
    """Return the columns that name a prefix, and are all of it: its address (4 or 16 bytes) and length."""
    return prefix.network_address.packed, prefix.prefixlen


def allowed(row: Row) -> Network:
    """Return what a row says. Raise TypeError or ValueError for nonsense."""
    packed, length = row
    if not isinstance(packed, bytes):
        raise TypeError("a prefix of nothing")
    return ip_network((packed, int(length)))


def signed(unix_ms: int) -> int:
    """Return a datagram's time, which may be any 64 bits, as SQLite can store it."""
    return unix_ms - 2 * _SIGN if unix_ms >= _SIGN else unix_ms


def unsigned(stored: int) -> int:
    """Return what `signed` was given."""
    return stored + 2 * _SIGN if stored < 0 else stored


def checksum(table: str, row: Row) -> int:
    """Return a number for a row; the sum over all rows tells whether one is missing or not as written."""
    return int.from_bytes(blake2b(repr((table, row)).encode(), digest_size=8).digest())


def _window(window_ns: int) -> int:
    return _NEVER if window_ns == NEVER_NS else window_ns


def _window_ns(stored: int) -> int:
    return NEVER_NS if stored == _NEVER else stored
