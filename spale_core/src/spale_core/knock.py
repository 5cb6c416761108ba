# SPDX-License-Identifier: MIT
"""Which datagrams a client sends, and where to. No I/O: names are resolved and sockets opened elsewhere.

In the order of a knock: bound to what (`Binding`), where to (`choose_targets`), which bytes (`Knock`).
"""

from __future__ import annotations

import enum
from ipaddress import IPv6Address, ip_address, ip_network
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, cast

from attrs import field, frozen

from spale_core.errors import UnavailableError, UsageError
from spale_core.model import Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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
    """The address that a datagram claims to come from; FIXED: `source` and `bits` as for `Requester.seal`."""

    mode: BindingMode
    source: Source | None = None
    bits: int = 0

    @classmethod
    def parse(cls, text: str) -> Binding:
        """Return what ``auto``, ``off``, an address or a prefix stands for; raise UsageError."""
        if text in {BindingMode.AUTO.value, BindingMode.OFF.value}:
            return cls(BindingMode(text))
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

    @property
    def address(self) -> Address | None:
        """Return the address if it is fixed."""
        return None if self.source is None else self.source.address

    def claimed(self, local: Address) -> Source | None:
        """Return what to claim from a socket that sends from `local`; None claims nothing.

        Only a globally routable address is sure to be the one that the server sees.
        """
        if self.mode is BindingMode.AUTO:
            return Source(local) if local.is_global else None
        return self.source

    def misses(self, local: Address) -> bool:
        """Tell whether the server will see another source than the one claimed from `local`.

        Only a globally routable address is sure to be seen as it is.
        """
        if self.source is None or not local.is_global or self.source.address.version != local.version:
            return False
        return not self._covers(Source(local))

    def _covers(self, source: Source) -> bool:
        if self.source is None:
            return True
        unused = _PACKED_BITS - self.bits if self.bits else 0
        ours, theirs = (int.from_bytes(each.packed, "big") >> unused for each in (self.source, source))
        return ours == theirs

    def described(self, local: Address) -> str:
        """Return in words what is claimed from `local`."""
        claimed = self.claimed(local)
        if claimed is None:
            return "not bound"
        if not self.bits:
            return f"bound to {claimed}"
        unused = _PACKED_BITS - claimed.address.max_prefixlen
        return f"bound to {claimed}/{self.bits - unused}"


def choose_targets(found: Iterable[Target], only: Sequence[Address | None]) -> tuple[Target, ...]:
    """Return the targets to knock at, each once, the families in turn, at most MAX_TARGETS.

    `only` are addresses whose family a target must share: the one claimed and the one sent from; None says
    nothing. Raise UnavailableError if no target remains: a binding is never weakened to reach another one.
    """
    versions = {address.version for address in only if address is not None}
    if len(versions) > 1:
        raise UsageError("the address to send from and the address to bind to are of different families")
    targets = {target.address: target for target in found}
    fitting = [target for target in targets.values() if versions <= {target.address.version}]
    if not fitting:
        family = f"IPv{versions.pop()}" if versions else "IP"
        raise UnavailableError(f"the name has no {family} address, and that is the family asked for")
    families = ([target for target in fitting if target.address.version == version] for version in (6, 4))
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
            source_bits=self.binding.bits,
            services=self.services,
            idle_s=self.idle_s,
        )
