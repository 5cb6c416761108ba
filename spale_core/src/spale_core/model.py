# SPDX-License-Identifier: MIT
"""The values that the whole framework speaks in: frozen, validated at birth, no I/O.

Units are in the names: ``_s`` seconds, ``_ns`` nanoseconds of CLOCK_MONOTONIC (what the kernel's
bpf_ktime_get_ns reads), ``unix_ms`` milliseconds since 1970 (UTC).
"""

from __future__ import annotations

import enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from attrs import field, frozen
from attrs.validators import ge, instance_of, le

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

EPOCH_S = 30
"""Length of a tag's epoch in seconds (wire.md)."""

NEVER_NS = 2**64 - 1
"""A window or an end that never comes: what -1 in the configuration means to the kernel."""

_MAPPED_PREFIX = bytes(10) + b"\xff\xff"


@frozen
class Moment:
    """One instant on both clocks: CLOCK_MONOTONIC in nanoseconds and the wall clock in milliseconds."""

    monotonic_ns: int
    unix_ms: int


class Protocol(enum.IntEnum):
    """Transport protocols that a service can have, by IP protocol number."""

    TCP = 6
    UDP = 17


@frozen(order=True)
class Service:
    """A transport protocol and a destination port; written ``22/tcp``."""

    protocol: Protocol = field(converter=Protocol)
    port: int = field(validator=[ge(1), le(65535)])

    def __str__(self) -> str:
        """Return the form that configuration and log use."""
        return f"{self.port}/{self.protocol.name.lower()}"


def _unmapped(address: Address) -> Address:
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@frozen(order=False)
class Source:
    """Whom a grant is for: an address and, for an IPv6 link-local one, the interface it is on.

    An IPv4-mapped IPv6 address is the IPv4 address. `ifindex` is 0 for all but link-local addresses.
    """

    address: Address = field(converter=_unmapped)
    ifindex: int = field(default=0, validator=[ge(0), le(2**32 - 1)])

    @classmethod
    def arrived(cls, address: Address, ifindex: int) -> Source:
        """Return the source of a packet from `address` that came in on the interface `ifindex`."""
        plain = _unmapped(address)
        scoped = isinstance(plain, IPv6Address) and plain.is_link_local
        return cls(plain, ifindex if scoped else 0)

    @property
    def packed(self) -> bytes:
        """Return the 16 address bytes of wire and kernel, IPv4 as ::ffff:a.b.c.d; no interface in them."""
        if isinstance(self.address, IPv4Address):
            return _MAPPED_PREFIX + self.address.packed
        return self.address.packed

    @classmethod
    def unpack(cls, packed: bytes, ifindex: int = 0) -> Source:
        """Return the source that `packed` (16 bytes, see `packed`) stands for."""
        return cls(ip_address(packed), ifindex)

    def __str__(self) -> str:
        """Return the address; a link-local one with its interface's number, ``fe80::1%3``."""
        return f"{self.address}%{self.ifindex}" if self.ifindex else str(self.address)


@frozen
class Datagram:
    """The UDP payload of a knock, whence it came, and the interface that it arrived on."""

    payload: bytes = field(repr=False)
    source: Source
    source_port: int
    ifindex: int


class Reason(enum.Enum):
    """Why something was not let in; the value is the word in the log.

    The first block is the kernel's (`enum spale_reason` in bpf/include/spale_abi.h has the same names,
    upper-cased, behind ``SPALE_R_``); the second belongs to the listener, the third to the monitor.
    """

    # kernel: packets to protected services
    NO_GRANT = "no_grant"
    GRANT_DEAD = "grant_dead"
    GRANT_GRACE = "grant_grace"
    BAD_FLAGS = "bad_flags"
    TRUNCATED = "truncated"
    SHORT_FRAGMENT = "short_fragment"
    EXTENSIONS = "too_many_extensions"
    VLAN_DEPTH = "vlan_depth"
    MAPPED = "mapped_address"
    # kernel: packets to the SPA port
    SPA_LENGTH = "spa_length"
    SPA_FRAGMENT = "spa_fragment"
    SPA_OPTIONS = "spa_options"
    UNKNOWN_TAG = "unknown_tag"
    STALE_TAG = "stale_tag"
    BAD_MAC = "bad_mac"
    REPLAY = "replay"
    RATE_LIMITED = "rate_limited"
    # kernel: a map of ours cannot be read
    INTERNAL = "internal"
    # listener
    INTERFACE = "unprotected_interface"
    NOT_OPENED = "not_opened"
    MALFORMED = "malformed"
    SOURCE_MISMATCH = "source_mismatch"
    UNBOUND = "unbound"
    OVERLOAD = "overload"
    # monitor
    MEMORY_LOST = "memory_lost"
    SKEW = "skew"
    BAD_SOURCE = "bad_source"
    SOURCE_NOT_ALLOWED = "source_not_allowed"
    SERVICES = "services_not_allowed"
    CLIENT_EXPIRED = "client_expired"
    CLAIM_RATE = "claim_rate"
    GRANTS_FULL = "grants_full"
    STORE_FAILED = "store_failed"


@frozen
class Tag:
    """What the kernel must know to tell a client's datagrams of one epoch from junk (wire.md).

    `client` and `server_key` are indices into the configured clients and server keys; `epoch` counts
    periods of `EPOCH_S` since 1970.
    """

    client: int
    server_key: int
    epoch: int
    tag: bytes = field(validator=[instance_of(bytes)])
    mac_key: bytes = field(repr=False)


@frozen
class KernelTag:
    """A tag with its validity in kernel time, as a dataplane takes it."""

    tag: bytes
    mac_key: bytes = field(repr=False)
    not_before_ns: int
    not_after_ns: int


@frozen
class Claim:
    """What an authenticated datagram asks for.

    `client` is the index of the configured client, `enc` the replay identity (32 bytes), `services` empty
    for all that the client may have, `idle_s` 0 for the server's own window.
    """

    client: int
    enc: bytes
    unix_ms: int
    source: Source
    bound: bool
    services: frozenset[Service]
    idle_s: int = field(validator=[ge(0), le(65535)])


@frozen
class Grant:
    """One source may reach one service: what the kernel enforces.

    LIVE while now - last_ns <= idle_ns, GRACE while it is <= grace_ns, and DEAD from end_ns on (spec.md,
    "The packet's way in"). `NEVER_NS` stands for -1.
    """

    source: Source
    service: Service
    last_ns: int
    idle_ns: int
    grace_ns: int
    end_ns: int

    @property
    def dead_ns(self) -> int:
        """Return the first moment at which this grant, if nothing extends it, is DEAD."""
        window = max(self.idle_ns, self.grace_ns)
        return min(self.end_ns, NEVER_NS if window == NEVER_NS else self.last_ns + window + 1)


@frozen
class Holding:
    """A client's share in a grant: one kernel grant is the union of what several clients hold."""

    client: str
    grant: Grant


@frozen
class Granted:
    """A claim was honoured."""

    claim: Claim
    grants: tuple[Grant, ...]


@frozen
class Refused:
    """A datagram was refused; `client` is an index where a client is known, `count` how often.

    `first_source` is, for a replay, where the datagram was first seen from, if that is known. `detail` is for
    the log: words and numbers of ours only, never a stranger's bytes.
    """

    reason: Reason
    source: Source
    client: int | None = None
    count: int = 1
    first_source: Source | None = None
    detail: str = ""


@frozen
class Counter:
    """How often the kernel dropped for one reason since the maps were made, and the last source."""

    count: int
    last_source: Source | None


class AttachMode(enum.Enum):
    """How a program hangs on an interface."""

    TCX = "tcx"
    CLSACT = "clsact"
    XDP_NATIVE = "native"
    XDP_GENERIC = "generic"


@frozen
class Attachment:
    """A program of ours on an interface; `replaced` says that one of ours was there before.

    `note` tells the operator, in words, what is not as he may expect it; empty if all is.
    """

    interface: str
    ifindex: int
    mode: AttachMode
    replaced: bool = False
    note: str = ""
