# SPDX-License-Identifier: MIT
"""Two network namespaces and a cable between them; nothing outside them is touched.

      client                        server
    ┌──────────────────┐          ┌──────────────────┐
    │   knock0 ●═══════╪══ veth ══╪═══════● door0    │
    │  .2, .3, … ::2 … │          │  .1, ::1         │
    └──────────────────┘          └──────────────────┘

The namespaces have no names: descriptors and processes hold them, and with the last of those the kernel takes
away the namespaces and the cable. So there is nothing to clean up, whatever ends us.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
from contextlib import contextmanager
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from pathlib import Path
from typing import TYPE_CHECKING

from pyroute2 import IPRoute, netns  # type: ignore[import-untyped] # it has no types

from spale_core.demo.poll import until
from spale_core.errors import PermissionDeniedError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from spale_core.model import Address

DOOR = "door0"
"""The server's interface."""

_CLONE_NEWNET = 0x40000000
_IFA_F_NODAD = 0x02
_JOIN_S = 1.0
_PER_CABLE = 1 << 12


class Namespace:
    """A network namespace of our own; sockets and processes made inside stay there."""

    def __init__(self) -> None:
        """Make an empty namespace with its loopback up.

        Raises PermissionDeniedError or UnavailableError where the kernel gives none.
        """
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _unshare_network()
            self._fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            try:
                self._netlink = IPRoute()
            finally:
                netns.setns(home)
        finally:
            os.close(home)
        self.up("lo")

    @property
    def fd(self) -> int:
        """Return the descriptor that stands for the namespace."""
        return self._fd

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Put this thread into the namespace: what it opens or starts meanwhile belongs there."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            netns.setns(self._fd)
            try:
                yield
            finally:
                netns.setns(home)
        finally:
            os.close(home)

    def index(self, interface: str) -> int:
        """Return the number of `interface`, which must be there."""
        found: list[int] = self._netlink.link_lookup(ifname=interface)
        return found[0]

    def up(self, interface: str) -> None:
        """Bring `interface` up."""
        self._netlink.link("set", index=self.index(interface), state="up")

    def cable(self, interface: str, other: Namespace, other_interface: str) -> None:
        """Join `interface` here and `other_interface` there by a veth pair, both up."""
        peer = {"ifname": other_interface, "net_ns_fd": other.fd}
        self._netlink.link("add", ifname=interface, kind="veth", peer=peer)
        self.up(interface)
        other.up(other_interface)

    def add_address(self, interface: str, address: IPv4Interface | IPv6Interface) -> None:
        """Give `interface` one more address, usable at once (no duplicate address detection)."""
        self._netlink.addr(
            "add",
            index=self.index(interface),
            address=str(address.ip),
            prefixlen=address.network.prefixlen,
            **({"flags": _IFA_F_NODAD} if address.version == 6 else {}),  # noqa: PLR2004 - the protocol's name
        )
        if isinstance(address, IPv6Interface):
            until(lambda: self._answers_for(interface, address), _JOIN_S)

    def _answers_for(self, interface: str, address: IPv6Interface) -> bool:
        """Tell whether neighbours can find `address`: the kernel joins its group a little after adding it."""
        group = "ff0200000000000000000001ff" + address.packed[-3:].hex()
        with self.inside():
            groups = Path("/proc/thread-self/net/igmp6").read_text().splitlines()
        return any(line.split()[1:3] == [interface, group] for line in groups)

    def keep_as(self, name: str) -> None:
        """Give the namespace a name under /run/netns, which keeps it beyond our end."""
        with self.inside():
            netns.attach(name, os.getpid())

    def close(self) -> None:
        """Let go of the namespace."""
        self._netlink.close()
        os.close(self._fd)


class Stage:
    """Server and client, each in a namespace of its own; the client gets as many addresses as it asks for."""

    def __init__(self, *, network4: str = "192.0.2.0/24", network6: str = "2001:db8::/64") -> None:
        """Build what is drawn above; the server has each network's first address, the client none yet."""
        self._networks = ip_interface(network4).network, ip_interface(network6).network
        self._taken = {4: 1, 6: 1}
        self.server = Namespace()
        try:
            self.client = Namespace()
        except BaseException:
            self.server.close()
            raise
        self.server.cable(DOOR, self.client, "knock0")
        self.has_ipv6 = socket.has_ipv6 and _ipv6_is_on(self.server) and _ipv6_is_on(self.client)
        self.server_addresses: dict[int, Address] = {}
        for family in self.families:
            interface = self._interface(family, 1)
            self.server.add_address(DOOR, interface)
            self.server_addresses[family] = interface.ip

    @property
    def families(self) -> tuple[int, ...]:
        """Return the versions of IP that there are here: 4, and 6 where it is not switched off."""
        return (4, 6) if self.has_ipv6 else (4,)

    def new_source(self, family: int) -> Address:
        """Give the client one more address, from which nobody has knocked yet."""
        self._taken[family] += 1
        interface = self._interface(family, self._taken[family])
        self.client.add_address("knock0", interface)
        return interface.ip

    def _interface(self, family: int, number: int) -> IPv4Interface | IPv6Interface:
        network = self._networks[0] if family == 4 else self._networks[1]  # noqa: PLR2004 - the protocol's name
        if number >= min(_PER_CABLE, network.num_addresses - 1):
            message = f"no address is left in {network}"
            raise UnavailableError(message)
        return ip_interface(f"{network[number]}/{network.prefixlen}")

    def close(self) -> None:
        """Let go of both namespaces."""
        self.client.close()
        self.server.close()

    def __enter__(self) -> Self:
        """Return the stage."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of both namespaces."""
        self.close()


def _unshare_network() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) == 0:
        return
    code = ctypes.get_errno()
    if code == errno.EPERM:
        raise PermissionDeniedError(
            "this process may not make network namespaces; be root, in a container with CAP_SYS_ADMIN"
        )
    raise UnavailableError(f"the kernel gives no network namespace: {os.strerror(code)}")


def _ipv6_is_on(namespace: Namespace) -> bool:
    try:
        with namespace.inside():
            return Path("/proc/sys/net/ipv6/conf/all/disable_ipv6").read_text().strip() == "0"
    except FileNotFoundError:
        return False
