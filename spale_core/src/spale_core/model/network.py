# SPDX-License-Identifier: MIT
"""Moments, addresses and services."""

from __future__ import annotations

import enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from attrs import field, frozen
from attrs.validators import ge, le

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


@frozen(order=True, cache_hash=True)
class Service:
    """A transport protocol and a destination port; written ``22/tcp``."""

    protocol: Protocol = field(converter=Protocol)
    port: int = field(validator=[ge(1), le(65535)])

    def __str__(self) -> str:
        """Return the form that configuration and log use."""
        return f"{self.port}/{self.protocol.name.lower()}"


def unmapped(address: Address) -> Address:
    """Return `address`; an IPv4-mapped IPv6 one as the IPv4 address that it is."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@frozen(order=False, cache_hash=True)
class Source:
    """Whom a grant is for: an address and, for an IPv6 link-local one, the interface it is on.

    An IPv4-mapped IPv6 address is the IPv4 address. `ifindex` is 0 for all but link-local addresses.
    """

    address: Address = field(converter=unmapped)
    ifindex: int = field(default=0, validator=[ge(0), le(2**32 - 1)])

    @classmethod
    def arrived(cls, address: Address, ifindex: int) -> Source:
        """Return the source of a packet from `address` that came in on the interface `ifindex`."""
        plain = unmapped(address)
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
