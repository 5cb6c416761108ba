# SPDX-License-Identifier: MIT
"""What a packet says, as spec.md has it read ("Fail closed"): the reference model's eyes.

Written from spec.md and the RFCs, not from the programs in C, and apart from policy_model.py, because it is a
reference of its own: it knows headers and no rules, so that each can be read beside the chapter it follows.
"""

from __future__ import annotations

from dataclasses import dataclass

from spale_bpf._abi import Reason

NOBODY, MAPPED = bytes(16), bytes(10) + b"\xff\xff"  # a source that cannot be read; what is before IPv4
IPV4, IPV6, VLANS, MAX_VLANS = 0x0800, 0x86DD, (0x8100, 0x88A8), 2
TCP, UDP, ROUTING, FRAGMENT, AH = 6, 17, 43, 44, 51
EXTENSIONS, MAX_EXTENSIONS = (0, ROUTING, FRAGMENT, AH, 60), 8  # 0: hop-by-hop, 60: destination options


class UnreadableError(Exception):
    """The packet could reach a protected service: why it cannot be read, and its source as far as known."""


@dataclass
class Packet:
    """What was found on the way to the ports."""

    family: int
    address: bytes  # the source as it is in the packet, IPv4 as ::ffff:a.b.c.d
    source: bytes  # the same as a key: a link-local one with its interface in bytes 4 to 7
    destination: bytes
    protocol: int
    claimed: int  # how many bytes `content` has by the IP header's account
    content: bytes  # what is there, from the header that comes next, in the end the transport header
    options: bool = False  # IPv4 options or IPv6 extension headers
    fragment: bool = False  # a first one, or one that is all there is
    first: bool = False  # more will follow

    def need(self, size: int) -> None:
        """Refuse a packet that ends too early."""
        if len(self.content) < size:
            raise UnreadableError(Reason.SHORT_FRAGMENT if self.first else Reason.TRUNCATED, self.source)

    def becomes_fragment(self, *, first: bool) -> None:
        """Note a fragment. Of a first one reassembly takes what the IP header claims, in units of 8 bytes."""
        self.fragment = True
        if first:
            self.first, self.claimed = True, max(0, self.claimed) // 8 * 8
            self.content = self.content[: self.claimed]

    def step(self) -> bool:
        """Step over an extension header (RFC 8200 section 4, RFC 4302 section 2.2); False: later fragment."""
        self.need(8)
        kind, following, units, flags = self.protocol, *self.content[:2], number(self.content[2:4])
        if kind == FRAGMENT and flags >> 3:
            return False
        if kind == ROUTING and following in (4, 41):  # a packet that Linux may unpack where the route ends
            raise UnreadableError(Reason.EXTENSIONS, self.source)
        if kind == FRAGMENT:
            self.becomes_fragment(first=bool(flags & 1))
        length = {FRAGMENT: 8, AH: (units + 2) * 4}.get(kind, (units + 1) * 8)
        self.options, self.protocol, self.content = True, following, self.content[length:]
        self.claimed -= length
        return True


def number(octets: bytes) -> int:
    """Return what bytes in network order say."""
    return int.from_bytes(octets, "big")


def scoped(address: bytes, ifindex: int) -> bytes:
    """Return the key of a source: one link-local address on two interfaces is two."""
    link_local = number(address[:2]) & 0xFFC0 == 0xFE80
    return address[:4] + ifindex.to_bytes(4, "big") + address[8:] if link_local else address


def read(ethertype: int, content: bytes, ifindex: int) -> Packet | None:
    """Return the packet with its ports; None if it has none (or is a later fragment) and so is not ours."""
    for _ in range(MAX_VLANS):
        if ethertype in VLANS and len(content) < 4:
            raise UnreadableError(Reason.TRUNCATED, NOBODY)
        if ethertype in VLANS:
            ethertype, content = number(content[2:4]), content[4:]
    if ethertype in VLANS:
        raise UnreadableError(Reason.VLAN_DEPTH, NOBODY)
    if ethertype not in (IPV4, IPV6):
        return None
    packet = ipv4(content) if ethertype == IPV4 else ipv6(content, ifindex)
    if packet is None or packet.protocol not in (TCP, UDP):
        return None
    packet.need(4)
    return packet


def ipv4(content: bytes) -> Packet | None:
    """Step over the header and its options; None: a later fragment."""
    if len(content) < 20 or content[0] >> 4 != 4 or content[0] % 16 < 5:
        raise UnreadableError(Reason.TRUNCATED, NOBODY)
    source, destination, flags = MAPPED + content[12:16], MAPPED + content[16:20], number(content[6:8])
    length = content[0] % 16 * 4
    claimed = number(content[2:4]) - length
    packet = Packet(4, source, source, destination, content[9], claimed, content[length:], length > 20)
    if flags & 0x2000:
        packet.becomes_fragment(first=True)
    return None if flags & 0x1FFF else packet


def ipv6(content: bytes, ifindex: int) -> Packet | None:
    """Step over the header and its extensions, eight at most; None: a later fragment."""
    if len(content) < 40 or content[0] >> 4 != 6:
        raise UnreadableError(Reason.TRUNCATED, NOBODY)
    address, claimed = content[8:24], number(content[4:6])
    packet = Packet(6, address, scoped(address, ifindex), content[24:40], content[6], claimed, content[40:])
    for _ in range(MAX_EXTENSIONS):
        if packet.protocol in EXTENSIONS and not packet.step():
            return None
    if packet.protocol in EXTENSIONS:
        raise UnreadableError(Reason.EXTENSIONS, packet.source)
    return packet
