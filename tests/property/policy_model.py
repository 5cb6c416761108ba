# SPDX-License-Identifier: MIT
"""What the kernel says to a packet, as spec.md has it ("The packet's way in"): the reference model.

Written to be read, from spec.md, wire.md and the names of spale_abi.h, not from the programs in C: where the
two disagree, one of them is wrong. What a packet says is in packet_model.py. Times are nanoseconds, and the
clock is an argument.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

from packet_model import NOBODY, UDP, Packet, UnreadableError, number, read

from spale_bpf._abi import REASON_FIRST_DROP, Reason
from spale_core.siphash import siphash24

NEVER = 2**64 - 1
FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
UDP_HEADER, KNOCK = 8, 128

mac_of = functools.lru_cache(65536)(siphash24)
"""wire.md: the mac of a knock is SipHash-2-4 of all that follows it. Cached, because here knocks repeat."""


@dataclass
class Grant:
    """A source may reach a service."""

    last_ns: int
    idle_ns: int
    grace_ns: int
    end_ns: int  # MAX_SEC after the knock

    def life(self, now_ns: int) -> str:
        """Return LIVE, GRACE or DEAD."""
        age_ns = max(0, now_ns - self.last_ns)
        if self.end_ns != NEVER and now_ns >= self.end_ns:
            return "DEAD"
        if age_ns <= self.idle_ns:
            return "LIVE"
        return "GRACE" if age_ns <= self.grace_ns else "DEAD"


def kind_of(packet: Packet) -> str:
    """Return what a packet is to a grant: NEW, END, OTHER; BAD is another mixture, or flags out of sight."""
    if packet.protocol == UDP:
        return "NEW"
    if len(packet.content) < 14:
        return "BAD"
    flags = packet.content[13] & (SYN | ACK | FIN | RST)
    if flags & SYN:
        return "NEW" if flags == SYN else "BAD"
    return "END" if flags & (FIN | RST) else "OTHER"


# The table, its column "no session". BAD passes under a LIVE grant only.
TABLE = {
    "LIVE": dict.fromkeys(("NEW", "END", "OTHER", "BAD"), Reason.PASS_LIVE),
    "GRACE": {"NEW": Reason.PASS_GRACE, "END": Reason.GRANT_GRACE, "OTHER": Reason.GRANT_GRACE},
    "DEAD": dict.fromkeys(("NEW", "END", "OTHER"), Reason.GRANT_DEAD),
    "none": dict.fromkeys(("NEW", "END", "OTHER"), Reason.NO_GRANT),
}


@dataclass
class Tag:
    """A client's knocks of one epoch, good from its first to its last nanosecond."""

    mac_key: bytes
    not_before_ns: int
    not_after_ns: int


@dataclass
class Policy:
    """All that the kernel knows."""

    log_only: bool = False
    token_ns: int = 0  # in what time one token grows back; 0: no rate limit
    burst: int = 1
    services: set[tuple[int, int]] = field(default_factory=set)  # protocol and port
    spa_ports: set[int] = field(default_factory=set)
    always_allow: set[tuple[int, bytes, int]] = field(default_factory=set)  # family, address, bits of 128
    grants: dict[tuple[bytes, int, int], Grant] = field(default_factory=dict)  # by source, protocol and port
    tags: dict[bytes, Tag] = field(default_factory=dict)
    macs: set[bytes] = field(default_factory=set)
    buckets: dict[bytes, tuple[int, int]] = field(default_factory=dict)  # tokens left, in ns; and when
    dropped: dict[Reason, tuple[int, bytes]] = field(default_factory=dict)  # how often, and the last source

    def frame(self, frame: bytes, ifindex: int, now_ns: int) -> tuple[bool, Reason]:
        """Judge what arrives on a device with an Ethernet header."""
        if len(frame) < 14:
            return self._verdict(Reason.TRUNCATED, NOBODY)
        return self.packet(number(frame[12:14]), frame[14:], ifindex, now_ns)

    def packet(self, ethertype: int, content: bytes, ifindex: int, now_ns: int) -> tuple[bool, Reason]:
        """Judge what is behind layer 2; return whether it passes, and why."""
        try:
            packet = read(ethertype, content, ifindex)
        except UnreadableError as error:
            return self._verdict(error.reason, error.source)
        if packet is None:
            return self._verdict(Reason.PASS_OTHER, NOBODY)
        return self._verdict(self._judge(packet, now_ns), packet.source)

    def _verdict(self, reason: Reason, source: bytes) -> tuple[bool, Reason]:
        """Every drop has a name; observing only, it is counted and passes."""
        if reason < REASON_FIRST_DROP:
            return True, reason
        self.dropped[reason] = (self.dropped.get(reason, (0, NOBODY))[0] + 1, source)
        return self.log_only, reason

    def _judge(self, packet: Packet, now_ns: int) -> Reason:
        """Most packets are neither for a protected service nor for the SPA port."""
        spa = packet.protocol == UDP and packet.port in self.spa_ports
        if not spa and (packet.protocol, packet.port) not in self.services:
            return Reason.PASS_OTHER
        if packet.mapped:
            return Reason.MAPPED
        return self._judge_knock(packet, now_ns) if spa else self._judge_service(packet, now_ns)

    def _judge_service(self, packet: Packet, now_ns: int) -> Reason:
        """Ask always-allow, which touches nothing, then the grant; what it lets in extends it."""
        if self._always_allowed(packet):
            return Reason.PASS_ALWAYS
        grant = self.grants.get((packet.source, packet.protocol, packet.port))
        reason = TABLE[grant.life(now_ns) if grant else "none"].get(kind_of(packet), Reason.BAD_FLAGS)
        if grant and reason < REASON_FIRST_DROP:
            grant.last_ns = max(grant.last_ns, now_ns)
        return reason

    def _always_allowed(self, packet: Packet) -> bool:
        """Compare with each prefix of the packet's own family, by the address that is in the packet."""
        return any(
            family == packet.family and (number(prefix) ^ number(packet.address)) >> (128 - bits) == 0
            for family, prefix, bits in self.always_allow
        )

    def _judge_knock(self, packet: Packet, now_ns: int) -> Reason:
        """Let a datagram through if it has the form of a knock and a client made it."""
        datagram = packet.content[: UDP_HEADER + KNOCK]
        if packet.first or packet.atomic:
            return Reason.SPA_FRAGMENT
        if packet.options:
            return Reason.SPA_OPTIONS
        if {len(datagram), packet.claimed, number(datagram[4:6])} != {UDP_HEADER + KNOCK}:
            return Reason.SPA_LENGTH
        mac, body = datagram[16:24], datagram[24:]
        reason = self._judge_mac(self.tags.get(datagram[8:16]), mac, body, now_ns)
        return reason or self._judge_copy(packet, mac, now_ns)

    def _judge_mac(self, tag: Tag | None, mac: bytes, body: bytes, now_ns: int) -> Reason | None:
        """Return why no client made this just now; None if one did."""
        if tag is None:
            return Reason.UNKNOWN_TAG
        if not tag.not_before_ns <= now_ns <= tag.not_after_ns:
            return Reason.STALE_TAG
        return None if mac == mac_of(tag.mac_key, body) else Reason.BAD_MAC

    def _judge_copy(self, packet: Packet, mac: bytes, now_ns: int) -> Reason:
        """Let the first copy through. One too many counts as seen, so that nobody spends it later."""
        if mac in self.macs:
            return Reason.REPLAY
        self.macs.add(mac)
        return Reason.PASS_SPA if self._token(packet, now_ns) else Reason.RATE_LIMITED

    def _token(self, packet: Packet, now_ns: int) -> bool:
        """Spend a token of the source, or of its /64."""
        if not self.token_ns:
            return True
        key = packet.source if packet.family == 4 else packet.source[:8] + bytes(8)
        full = self.burst * self.token_ns
        left, then_ns = self.buckets.get(key, (full, now_ns))
        left = min(full, left + now_ns - then_ns)
        if left < self.token_ns:
            return False
        self.buckets[key] = (left - self.token_ns, now_ns)
        return True
