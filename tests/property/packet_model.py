# SPDX-License-Identifier: MIT
"""What a packet says, as spec.md has it read ("The packet's way in", "Fail closed").

The reference model's eyes (policy_model.py), written from spec.md and the RFCs, not from the programs in C.
"""

from __future__ import annotations

from dataclasses import dataclass

from spale_bpf._abi import Reason

NOBODY = bytes(16)  # the source where none could be read
MAPPED = bytes(10) + b"\xff\xff"
IPV4, IPV6, VLANS, MAX_VLANS = 0x0800, 0x86DD, (0x8100, 0x88A8), 2
TCP, UDP = 6, 17
FRAGMENT, AH = 44, 51
EXTENSIONS, MAX_EXTENSIONS = (0, 43, FRAGMENT, AH, 60), 8  # hop-by-hop, routing, destination options


class UnreadableError(Exception):
    """The ports cannot be read, and the packet could reach a protected service: fail closed."""

    def __init__(self, reason: Reason, source: bytes = NOBODY) -> None:
        """Say why, and from whom as far as that is known."""
        super().__init__(reason)
        self.reason = reason
        self.source = source


@dataclass
class Packet:
    """What was found on the way to the ports."""

    family: int
    address: bytes  # the source as it is in the packet, IPv4 as ::ffff:a.b.c.d
    source: bytes  # the same as a key: a link-local one with its interface in bytes 4 to 7
    protocol: int
    claimed: int  # how many bytes `content` has by the IP header's account
    content: bytes  # what is there, from the header that comes next, in the end the transport header
    mapped: bool = False  # IPv6 with an IPv4-mapped source or destination
    options: bool = False  # IPv4 options or IPv6 extension headers
    first: bool = False  # a first fragment: more will follow
    atomic: bool = False  # a fragment that is all there is

    @property
    def port(self) -> int:
        """The destination port."""
        return number(self.content[2:4])

    def becomes_first(self) -> None:
        """Note a first fragment: reassembly takes what the IP header claims, in whole units of 8 bytes."""
        self.first, self.claimed = True, max(0, self.claimed) // 8 * 8
        self.content = self.content[: self.claimed]

    def cut(self) -> UnreadableError:
        """Return why a packet that ends too early cannot be read."""
        return UnreadableError(Reason.SHORT_FRAGMENT if self.first else Reason.TRUNCATED, self.source)


def number(octets: bytes) -> int:
    """Return what bytes in network order say."""
    return int.from_bytes(octets, "big")


def read(ethertype: int, content: bytes, ifindex: int) -> Packet | None:
    """Return the packet with its ports; None if it has none (or is a later fragment) and so is not ours."""
    ethertype, content = untagged(ethertype, content)
    if ethertype not in (IPV4, IPV6):
        return None
    packet = ipv4(content) if ethertype == IPV4 else ipv6(content, ifindex)
    if packet is None or packet.protocol not in (TCP, UDP):
        return None
    if len(packet.content) < 4:
        raise packet.cut()
    return packet


def untagged(ethertype: int, content: bytes) -> tuple[int, bytes]:
    """Remove up to two VLAN tags; a third is too deep, whatever is inside."""
    for _ in range(MAX_VLANS):
        if ethertype not in VLANS:
            break
        if len(content) < 4:
            raise UnreadableError(Reason.TRUNCATED)
        ethertype, content = number(content[2:4]), content[4:]
    if ethertype in VLANS:
        raise UnreadableError(Reason.VLAN_DEPTH)
    return ethertype, content


def ipv4(content: bytes) -> Packet | None:
    """Step over the header and its options."""
    if len(content) < 20 or content[0] >> 4 != 4 or content[0] % 16 < 5:
        raise UnreadableError(Reason.TRUNCATED)
    length, fragment, source = content[0] % 16 * 4, number(content[6:8]), MAPPED + content[12:16]
    if fragment & 0x1FFF:
        return None
    packet = Packet(4, source, source, content[9], number(content[2:4]) - length, content[length:])
    packet.options = length > 20
    if fragment & 0x2000:
        packet.becomes_first()
    return packet


def ipv6(content: bytes, ifindex: int) -> Packet | None:
    """Step over the header and its extensions, eight at most."""
    if len(content) < 40 or content[0] >> 4 != 6:
        raise UnreadableError(Reason.TRUNCATED)
    address, destination = content[8:24], content[24:40]
    packet = Packet(6, address, scoped(address, ifindex), content[6], number(content[4:6]), content[40:])
    packet.mapped = MAPPED in (address[:12], destination[:12])
    for _ in range(MAX_EXTENSIONS):
        if packet.protocol in EXTENSIONS and not step(packet):
            return None
    if packet.protocol in EXTENSIONS:
        raise UnreadableError(Reason.EXTENSIONS, packet.source)
    return packet


def scoped(address: bytes, ifindex: int) -> bytes:
    """Return the key of a source: one link-local address on two interfaces is two."""
    link_local = number(address[:2]) & 0xFFC0 == 0xFE80
    return address[:4] + ifindex.to_bytes(4, "big") + address[8:] if link_local else address


def step(packet: Packet) -> bool:
    """Step over one extension header (RFC 8200 section 4, RFC 4302 section 2.2); False: a later fragment."""
    if len(packet.content) < 8:
        raise packet.cut()
    following, units, flags = packet.content[0], packet.content[1], number(packet.content[2:4])
    length = {FRAGMENT: 8, AH: (units + 2) * 4}.get(packet.protocol, (units + 1) * 8)
    if packet.protocol == FRAGMENT and flags >> 3:
        return False
    if packet.protocol == FRAGMENT and flags & 1:
        packet.becomes_first()
    packet.atomic |= packet.protocol == FRAGMENT and not flags & 1
    packet.options = True
    packet.protocol, packet.content = following, packet.content[length:]
    packet.claimed -= length
    return True
