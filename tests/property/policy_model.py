# SPDX-License-Identifier: MIT
"""What the kernel says to a packet, as spec.md has it ("The packet's way in"): the reference model.

Written to be read, from spec.md, wire.md and the names of spale_abi.h, not from the programs in C: where the
two disagree, one of them is wrong. What a packet says is in packet_model.py. Times are nanoseconds, and the
clock is an argument.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

from packet_model import MAPPED, NOBODY, TCP, UDP, Packet, UnreadableError, number, read

from spale_bpf._abi import REASON_FIRST_COUNTED, REASON_FIRST_DROP, Reason, SessionState
from spale_core.siphash import siphash24

NEVER, CLOSING_NS, SESSIONS_PER_PAIR = 2**64 - 1, 120 * 10**9, 64
FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
UDP_HEADER, KNOCK, KNOCK_V1 = 8, 128, 97

Pair = tuple[bytes, int, int]  # source, protocol, destination port
Four = tuple[Pair, bytes, int]  # and of a TCP connection also destination and source port

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
        """Return LIVE, GRACE or DEAD; a `last` ahead of the clock counts as now."""
        age_ns = max(0, now_ns - self.last_ns)
        if self.end_ns != NEVER and now_ns >= self.end_ns:
            return "DEAD"
        if age_ns <= self.idle_ns:
            return "LIVE"
        return "GRACE" if age_ns <= self.grace_ns else "DEAD"


@dataclass
class Session:
    """A TCP connection that was let in."""

    opened_ns: int
    last_ns: int
    state: SessionState  # also the column of the table


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


# By the grant's life and the packet's kind, or by the kind alone: what happens without a session, with an
# OPEN one, with a CLOSING one. grant, open, close: it passes by the grant (and opens or closes the session).
# use, end: it passes by the session (and closes it), if that is not over. What is not here is dropped.
TABLE = {
    ("LIVE", "NEW"): ("open", "open", "open"),
    ("LIVE", "END"): ("grant", "close", "grant"),
    ("LIVE", "OTHER"): ("grant", "grant", "grant"),
    ("LIVE", "BAD"): ("grant", "grant", "grant"),
    ("GRACE", "NEW"): ("open", "open", "open"),
    "END": ("drop", "end", "use"),
    "OTHER": ("drop", "use", "use"),
}
REFUSALS = {"GRACE": Reason.GRANT_GRACE, "DEAD": Reason.GRANT_DEAD, "none": Reason.NO_GRANT}


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
    session_ns: int = 0  # SESSION_SEC; 0: no session is tracked
    max_sessions: int = 65536
    max_counts: int = 65536
    services: set[tuple[int, int]] = field(default_factory=set)  # protocol and port
    spa_ports: set[int] = field(default_factory=set)
    always_allow: set[tuple[int, bytes, int]] = field(default_factory=set)  # family, address, bits of 128
    grants: dict[Pair, Grant] = field(default_factory=dict)
    sessions: dict[Four, Session] = field(default_factory=dict)
    counts: dict[Pair, int] = field(default_factory=dict)  # how many sessions they hold
    knocks: set[int] = field(default_factory=lambda: {UDP_HEADER + KNOCK})  # how long they may be
    tags: dict[tuple[int, bytes], Tag] = field(default_factory=dict)  # by a knock's length, and its beginning
    macs: set[bytes] = field(default_factory=set)
    buckets: dict[tuple[bytes, bytes], tuple[int, int]] = field(default_factory=dict)  # tokens (ns), when
    counted: dict[Reason, tuple[int, bytes]] = field(default_factory=dict)  # how often, and the last source
    met: tuple[Four, tuple[str, str, str]] | None = None  # what the table was asked last, for tests to see

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
            return self._verdict(*error.args)
        reason = self._judge(packet, now_ns) if packet else Reason.PASS_OTHER
        return self._verdict(reason, packet.source if packet else NOBODY)

    def _verdict(self, reason: Reason, source: bytes) -> tuple[bool, Reason]:
        """Every drop has a name; observing only, it is counted and passes."""
        if reason >= REASON_FIRST_COUNTED:
            self.counted[reason] = (self.counted.get(reason, (0, NOBODY))[0] + 1, source)
        return reason < REASON_FIRST_DROP or self.log_only, reason

    def _judge(self, packet: Packet, now_ns: int) -> Reason:
        """Most packets are neither for a protected service nor for the SPA port."""
        port = number(packet.content[2:4])
        spa = packet.protocol == UDP and port in self.spa_ports
        if not spa and (packet.protocol, port) not in self.services:
            return Reason.PASS_OTHER
        if packet.family == 6 and MAPPED in (packet.address[:12], packet.destination[:12]):
            return Reason.MAPPED
        if spa:
            return self._judge_form(packet) or self._judge_knock(packet, now_ns)
        if self._always_allowed(packet):  # which touches nothing
            return Reason.PASS_ALWAYS
        pair = packet.source, packet.protocol, port
        return self._judge_service(packet, (pair, packet.destination, number(packet.content[:2])), now_ns)

    def _judge_service(self, packet: Packet, key: Four, now_ns: int) -> Reason:
        """Do what the table says. What passes by the grant extends it, and else nothing does."""
        tracked = packet.protocol == TCP and self.session_ns > 0
        grant, session = self.grants.get(key[0]), self.sessions.get(key) if tracked else None
        life, kind = grant.life(now_ns) if grant else "none", kind_of(packet)
        what = (TABLE.get((life, kind)) or TABLE.get(kind, ("drop",) * 3))[session.state if session else 0]
        self.met = key, (life, kind, session.state.name if session else "none")
        window_ns = CLOSING_NS if what == "use" and session.state == SessionState.CLOSING else self.session_ns
        if what in ("use", "end") and now_ns - session.last_ns <= window_ns:
            session.last_ns = max(session.last_ns, now_ns)
            session.state = SessionState.CLOSING if what == "end" else session.state
            return Reason.PASS_SESSION
        if what not in ("grant", "open", "close"):
            return Reason.BAD_FLAGS if kind == "BAD" else REFUSALS[life]
        grant.last_ns = max(grant.last_ns, now_ns)
        if what == "close":
            session.last_ns, session.state = now_ns, SessionState.CLOSING
        if what == "open" and tracked and not self._track(key, now_ns):
            return Reason.UNTRACKED
        return Reason.PASS_LIVE if life == "LIVE" else Reason.PASS_GRACE

    def _track(self, key: Four, now_ns: int) -> bool:
        """Open a session, or restart it; return whether there is room for it. Nothing is evicted."""
        if key not in self.sessions:
            if len(self.counts) < self.max_counts:
                self.counts.setdefault(key[0], 0)
            held = self.counts.get(key[0], SESSIONS_PER_PAIR)
            if held >= SESSIONS_PER_PAIR or len(self.sessions) >= self.max_sessions:
                return False
            self.counts[key[0]] += 1
        self.sessions[key] = Session(now_ns, now_ns, SessionState.OPEN)
        return True

    def _always_allowed(self, packet: Packet) -> bool:
        """Compare with each prefix of the packet's own family, by the address that is in the packet."""
        return any(
            family == packet.family and (number(prefix) ^ number(packet.address)) >> (128 - bits) == 0
            for family, prefix, bits in self.always_allow
        )

    def _judge_form(self, packet: Packet) -> Reason | None:
        """Return why a datagram to the SPA port has not the form of a knock."""
        if packet.fragment or packet.options:
            return Reason.SPA_FRAGMENT if packet.fragment else Reason.SPA_OPTIONS
        lengths = {min(len(packet.content), packet.claimed), packet.claimed, number(packet.content[4:6])}
        return None if len(lengths) == 1 and lengths <= self.knocks else Reason.SPA_LENGTH

    def _judge_knock(self, packet: Packet, now_ns: int) -> Reason:
        """Let a knock through if a client made it, and not again. One too many counts as seen too.

        Version 1 has no mac, and so for each tag a bucket of its own.
        """
        datagram = packet.content[UDP_HEADER : packet.claimed]
        tag, mac = self.tags.get((len(datagram), datagram[:8])), datagram[8:16]
        if tag is None:
            return Reason.UNKNOWN_TAG
        if not tag.not_before_ns <= now_ns <= tag.not_after_ns:
            return Reason.STALE_TAG
        if len(datagram) == KNOCK:
            if mac != mac_of(tag.mac_key, datagram[16:]):
                return Reason.BAD_MAC
            if mac in self.macs:
                return Reason.REPLAY
            self.macs.add(mac)
        whose = b"" if len(datagram) == KNOCK else datagram[:8]
        return Reason.PASS_SPA if self._token(packet, whose, now_ns) else Reason.RATE_LIMITED

    def _token(self, packet: Packet, whose: bytes, now_ns: int) -> bool:
        """Spend a token of the source, or of its /64."""
        if not self.token_ns:
            return True
        key = packet.source if packet.family == 4 else packet.source[:8] + bytes(8), whose
        full = self.burst * self.token_ns
        left, then_ns = self.buckets.get(key, (full, now_ns))
        left = min(full, left + now_ns - then_ns)
        if left < self.token_ns:
            return False
        self.buckets[key] = (left - self.token_ns, now_ns)
        return True
