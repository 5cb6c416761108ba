# SPDX-License-Identifier: MIT
"""Other lanes than that of lane.py: what reaches the server's programs looks different there."""

from __future__ import annotations

import fcntl
import os
import struct

from lane import DOOR, DOOR_MAC, ETHERNET_BYTES, KNOCK, Lane, run_ip
from listeners import PACKET_MAX, Ear
from packets import ICMP
from pyroute2 import IPRoute
from senders import Ring, push_tags

from spale_core.demo.stage import Namespace

OTHER_MAC, YARD_MAC = "02:00:00:00:00:09", "02:00:00:00:00:0a"
YARD = bytes.fromhex(YARD_MAC.replace(":", ""))

JUMBO_MTU = 9000

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000


class RingLane(Lane):
    """A lane whose skbs have nothing but the Ethernet header in their linear part."""

    def lay(self) -> None:
        """Make the cable, and a ring at its end."""
        super().lay()
        self._ring = self.keep(Ring(self.client, KNOCK))

    def send(self, frame: bytes) -> None:
        """Let a frame arrive at the server."""
        self._ring.send(frame)


class TunLane(Lane):
    """A lane whose door is a tun device: its packets begin with the IP header."""

    layer2 = False

    def lay(self) -> None:
        """Make the device; this process is at its other end."""
        with self.server.inside():
            self._device = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        self._exit.callback(os.close, self._device)
        request = struct.pack("16sH22x", DOOR.encode(), IFF_TUN | IFF_NO_PI)
        with self.server.inside():
            fcntl.ioctl(self._device, TUNSETIFF, request)
        self.server.up(DOOR)
        self.move_in(self.server, DOOR)

    def send(self, frame: bytes) -> None:
        """Let what is behind a frame's Ethernet header arrive at the server."""
        os.write(self._device, frame[ETHERNET_BYTES:])

    def heard(self) -> list[bytes]:
        """Return the packets that the server has sent since the last call."""
        packets = []
        while True:
            try:
                packets.append(os.read(self._device, PACKET_MAX))
            except BlockingIOError:
                return packets


class TaggedLane(Lane):
    """A lane whose frames arrive with a VLAN tag beside them, as from hardware that takes tags out."""

    tag: int
    """The tag's ethertype; its id is 0."""

    def lay(self) -> None:
        """Make the cable, and at its end a program that puts the tag beside each frame."""
        super().lay()
        push_tags(self.client, KNOCK, self.tag)


class CustomerTagLane(TaggedLane):
    """802.1Q."""

    tag = 0x8100


class ServiceTagLane(TaggedLane):
    """802.1ad."""

    tag = 0x88A8


class BridgeLane(Lane):
    """A lane whose door is the port of a bridge, which has the addresses."""

    def lay(self) -> None:
        """Make cable and bridge."""
        self.lay_cable()
        run_ip(self.server, "link", "add", "bridge0", "address", DOOR_MAC, "type", "bridge")
        run_ip(self.server, "link", "set", DOOR, "master", "bridge0", "address", OTHER_MAC)
        self.server.up("bridge0")
        self.move_in(self.server, "bridge0")


class OnBridgeLane(BridgeLane):
    """A lane where not the port but the bridge itself is guarded."""

    door = "bridge0"


class JumboLane(Lane):
    """A lane that carries frames larger than a page."""

    def lay(self) -> None:
        """Make the cable."""
        super().lay()
        run_ip(self.server, "link", "set", DOOR, "mtu", str(JUMBO_MTU))
        run_ip(self.client, "link", "set", KNOCK, "mtu", str(JUMBO_MTU))


class ForwardingLane(BridgeLane):
    """A lane whose bridge has a second port, where somebody has taken the Ethernet address of the frames."""

    def lay(self) -> None:
        """Make bridge and second cable."""
        super().lay()
        yard = self.keep(Namespace())
        self.server.cable("back0", yard, "yard0")
        run_ip(self.server, "link", "set", "back0", "master", "bridge0")
        run_ip(yard, "link", "set", "yard0", "address", YARD_MAC)
        self._yard = self.keep(Ear(yard, "yard0"))

    def send(self, frame: bytes) -> None:
        """Let a frame arrive, addressed to the yard unless it is an echo."""
        echo = frame[12:14] == b"\x08\0" and frame[ETHERNET_BYTES + 9] == ICMP
        super().send(frame if echo else YARD + frame[len(YARD) :])

    def arrived(self) -> list[bytes]:
        """Return what has come to the yard since the last call."""
        return [frame for frame in self._yard.heard() if frame.startswith(YARD)]


class MacvlanLane(Lane):
    """A lane whose server lives in a namespace of its own (a container) by a macvlan on the door."""

    def lay(self) -> None:
        """Make the cable and the macvlan."""
        self.lay_cable()
        run_ip(self.server, "link", "set", DOOR, "address", OTHER_MAC)
        macvlan = ("type", "macvlan", "mode", "bridge")
        run_ip(self.server, "link", "add", "link", DOOR, "name", "mac0", "address", DOOR_MAC, *macvlan)
        guest = self.keep(Namespace())
        with self.server.inside(), IPRoute() as netlink:
            netlink.link("set", index=self.server.index("mac0"), net_ns_fd=guest.fd)
        guest.up("mac0")
        self.move_in(guest, "mac0")


class RenamedLane(Lane):
    """A lane whose server changes the Ethernet address of its door after it has been guarded."""

    def lay(self) -> None:
        """Make the cable, with another address at first."""
        super().lay()
        run_ip(self.server, "link", "set", DOOR, "address", OTHER_MAC)

    def guard(self, enforcer: str) -> None:
        """Put an enforcer on the door, then change the address."""
        super().guard(enforcer)
        run_ip(self.server, "link", "set", DOOR, "address", DOOR_MAC)


KINDS = {
    "copied": Lane,
    "ring": RingLane,
    "tun": TunLane,
    "tag-8100": CustomerTagLane,
    "tag-88a8": ServiceTagLane,
    "jumbo": JumboLane,
    "bridge": BridgeLane,
    "on-bridge": OnBridgeLane,
    "macvlan": MacvlanLane,
    "new-mac": RenamedLane,
}
