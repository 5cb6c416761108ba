# SPDX-License-Identifier: MIT
"""Network interfaces of the current network namespace, asked of the kernel by ioctl.

Not through /sys/class/net: that shows the namespace in which sysfs was mounted, which is another one in a
process that has called setns.
"""

from __future__ import annotations

import fcntl
import socket
import struct
from typing import TYPE_CHECKING

from attrs import frozen

from spale_core.errors import DataplaneError

if TYPE_CHECKING:
    from collections.abc import Iterable

ARPHRD_ETHER = 1
_ARPHRD_LOOPBACK = 772
_ETHERNET = frozenset({ARPHRD_ETHER, _ARPHRD_LOOPBACK})

_LAYER3 = frozenset(
    {
        65534,  # ARPHRD_NONE: tun, WireGuard
        519,  # ARPHRD_RAWIP: mobile broadband
        512,  # ARPHRD_PPP
        768,  # ARPHRD_TUNNEL: IPv4 in IPv4
        769,  # ARPHRD_TUNNEL6
        776,  # ARPHRD_SIT: IPv6 in IPv4
        778,  # ARPHRD_IPGRE
        823,  # ARPHRD_IP6GRE
    },
)

_SIOCGIFHWADDR = 0x8927
_IFREQ = struct.Struct("16sH14x8x")


@frozen
class Interface:
    """A network interface; `hardware_type` is its ARPHRD_* number."""

    name: str
    index: int
    hardware_type: int

    @property
    def has_ethernet_header(self) -> bool:
        """Return whether packets come with an Ethernet header.

        Raise DataplaneError for a type of device whose packets no program of ours can read.
        """
        if self.hardware_type in _ETHERNET:
            return True
        if self.hardware_type in _LAYER3:
            return False
        raise DataplaneError(
            f"{self.name}: devices of type {self.hardware_type} (if_arp.h) carry neither Ethernet nor bare IP"
            " packets; name an Ethernet, tun, WireGuard or tunnel device",
        )


def find(name: str) -> Interface:
    """Return the interface called `name`. Raise DataplaneError if this network namespace has none."""
    found = _look_up(name)
    if found is None:
        known = ", ".join(known for _, known in socket.if_nameindex())
        raise DataplaneError(f"no interface {name} in this network namespace; there are {known}")
    return found


def find_all() -> list[Interface]:
    """Return every interface of this network namespace; one that goes away meanwhile may be left out."""
    found = (_look_up(name) for _, name in socket.if_nameindex())
    return [interface for interface in found if interface is not None]


def again(interface: Interface) -> Interface | None:
    """Return what has the interface's number by now, under its present name; None if it is gone."""
    while True:
        try:
            found = _look_up(socket.if_indextoname(interface.index))
        except OSError:
            return None
        # Renamed between the two questions it is not gone.
        if found is not None and found.index == interface.index:
            return found


def find_there(names: Iterable[str]) -> list[Interface]:
    """Return those of `names` that there are, each once."""
    found = (_look_up(name) for name in dict.fromkeys(names))
    return [interface for interface in found if interface is not None]


def _look_up(name: str) -> Interface | None:
    try:
        index = socket.if_nametoindex(name)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ioctl_socket:
            answer = fcntl.ioctl(ioctl_socket, _SIOCGIFHWADDR, _IFREQ.pack(name.encode(), 0))
    except OSError:
        return None
    return Interface(name, index, _IFREQ.unpack(answer)[1])
