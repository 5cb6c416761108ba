# SPDX-License-Identifier: MIT
"""Which datagrams a client sends, and where to. No I/O: names are resolved and sockets opened elsewhere.

In the order of a knock: bound to what (`Binding`), where to (`choose_targets`), which bytes (`Knock`).
"""

from __future__ import annotations

import enum
from ipaddress import IPv6Address, ip_address, ip_network
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, cast

from attrs import evolve, field, frozen

from spale_core.errors import UsageError
from spale_core.model import Source

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from spale_core.interfaces import Requester
    from spale_core.model import Address, Service

MAX_TARGETS = 8
"""How many addresses of one name are knocked at."""

SocketAddress = tuple[str, int] | tuple[str, int, int, int]

_PACKED_BITS = 128


@frozen
class Target:
    """One address of the server, and how the socket layer names it with the port."""

    address: Address
    socket_address: SocketAddress

    def at(self, port: int) -> Target:
        """Return the same address with another port."""
        host, _, *scope = self.socket_address
        return Target(self.address, cast("SocketAddress", (host, port, *scope)))


class BindingMode(enum.Enum):
    """How a client decides on the address that it claims."""

    AUTO = "auto"
    OFF = "off"
    FIXED = "fixed"


@frozen
class Binding:
    """The address that a datagram claims to come from; FIXED: `source` and `bits` as for `Requester.seal`.

    `other` is what is claimed from an address of the other family, if a FIXED one names both.
    """

    mode: BindingMode
    source: Source | None = None
    bits: int = 0
    other: Binding | None = None

    @classmethod
    def parse(cls, text: str) -> Binding:
        """Return what ``auto``, ``off``, an address, a prefix, or one of each family stands for.

        Raise UsageError.
        """
        if text in {BindingMode.AUTO.value, BindingMode.OFF.value}:
            return cls(BindingMode(text))
        first, *others = map(cls._fixed, text.split(","))
        if len(others) > 1 or any(other.versions == first.versions for other in others):
            raise UsageError(
                f"{text} names a family twice; write one address or prefix of each, "
                "such as 203.0.113.7,2001:db8::/56"
            )
        return evolve(first, other=others[0]) if others else first

    @classmethod
    def _fixed(cls, text: str) -> Binding:
        try:
            if "/" not in text:
                return cls(BindingMode.FIXED, Source(ip_address(text)))
            prefix = ip_network(text)
        except ValueError as error:
            raise UsageError(
                f"{error}; write auto, off, an address, or a prefix such as 203.0.113.0/24"
            ) from None
        first = prefix.network_address
        if isinstance(first, IPv6Address) and first.ipv4_mapped:
            raise UsageError(f"{text} is IPv4 in the form of IPv6; write the IPv4 prefix")
        whole = prefix.prefixlen == prefix.max_prefixlen
        offset = _PACKED_BITS - prefix.max_prefixlen
        return cls(BindingMode.FIXED, Source(first), 0 if whole else offset + prefix.prefixlen)

    def __str__(self) -> str:
        """Return it as `parse` takes it."""
        own = self.mode.value if self.source is None else _written(self.source, self.bits)
        return own if self.other is None else f"{own},{self.other}"

    @property
    def versions(self) -> frozenset[int]:
        """Return the versions of IP of the addresses that are fixed; none if it is not FIXED."""
        sources = (each.source for each in (self, self.other) if each is not None)
        return frozenset(source.address.version for source in sources if source is not None)

    def of(self, local: Address) -> Binding:
        """Return the part that counts for a socket that sends from `local`."""
        return self.other if self.other is not None and local.version in self.other.versions else self

    def claimed(self, local: Address) -> Source | None:
        """Return what to claim from a socket that sends from `local`; None claims nothing.

        Only a globally routable address is sure to be the one that the server sees.
        """
        if self.mode is BindingMode.AUTO:
            return Source(local) if local.is_global else None
        return self.of(local).source

    def misses(self, local: Address) -> bool:
        """Tell whether the server will see another source than the one claimed from `local`.

        Only a globally routable address is sure to be seen as it is.
        """
        part = self.of(local)
        if part.source is None or not local.is_global or part.source.address.version != local.version:
            return False
        unused = _PACKED_BITS - part.bits if part.bits else 0
        ours, theirs = (int.from_bytes(each.packed, "big") >> unused for each in (part.source, Source(local)))
        return ours != theirs

    def described(self, local: Address) -> str:
        """Return in words what is claimed from `local`."""
        claimed = self.claimed(local)
        return "not bound" if claimed is None else f"bound to {_written(claimed, self.of(local).bits)}"


def _written(source: Source, bits: int) -> str:
    """Return an address, or a prefix if `bits` say so, as people write it."""
    return f"{source}/{bits - _PACKED_BITS + source.address.max_prefixlen}" if bits else str(source)


def choose_targets(found: Iterable[Target], versions: Collection[int]) -> tuple[Target, ...]:
    """Return the targets to knock at: of these `versions` of IP, each once, in turn, at most MAX_TARGETS.

    None may remain: a binding is never weakened to reach another one.
    """
    targets = {target.address: target for target in found if target.address.version in versions}
    families = (
        [target for target in targets.values() if target.address.version == version] for version in (6, 4)
    )
    return tuple(target for target in chain.from_iterable(zip_longest(*families)) if target)[:MAX_TARGETS]


@frozen
class Knock:
    """What one run of spale-send asks for."""

    requester: Requester = field(repr=False)
    binding: Binding
    services: tuple[Service, ...] = ()
    idle_s: int = 0

    def datagram(self, local: Address, unix_ms: int) -> bytes:
        """Return a fresh datagram to send from `local`; raise DataError for what no server would accept."""
        return self.requester.seal(
            unix_ms=unix_ms,
            source=self.binding.claimed(local),
            source_bits=self.binding.of(local).bits,
            services=self.services,
            idle_s=self.idle_s,
        )
