# SPDX-License-Identifier: MIT
"""What judges packets, wherever it runs: its state is written and read in the kernel's own bytes."""

from __future__ import annotations

import enum
import struct
import sys
import time
from abc import ABC, abstractmethod
from typing import NamedTuple

import packets as p

from spale_bpf import _abi
from spale_bpf._abi import Flag, Reason

NEVER = 2**64 - 1
SECOND = 1_000_000_000
NO_FLAGS = Flag(0)
ETH_LENGTH = 14


class Entry(enum.Enum):
    """A program: its object file, its name, and what it returns for PASS and DROP."""

    TC_ETH = ("spale_tc", "spale_tc_eth", 0xFFFFFFFF, 2)
    TC_L3 = ("spale_tc", "spale_tc_l3", 0xFFFFFFFF, 2)
    XDP = ("spale_xdp", "spale_xdp", 2, 1)

    @property
    def ethernet(self) -> bool:
        """Whether its packets begin with an Ethernet header."""
        return self is not Entry.TC_L3

    def data(self, frame: bytes) -> bytes:
        """Return what this program is given of an Ethernet frame."""
        return frame if self.ethernet else frame[ETH_LENGTH:]


class Outcome(NamedTuple):
    """What became of a packet: whether it passed, and the reasons that were counted with their source."""

    passed: bool
    counted: dict[Reason, bytes]


Counters = dict[tuple[Reason, int], _abi.Counter]


def now_ns() -> int:
    """Return what bpf_ktime_get_ns reads."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def index(number: int) -> bytes:
    """Return a key of an array map."""
    return struct.pack("=I", number)


def client(family: int) -> bytes:
    """Return the source that packets come from unless told otherwise."""
    return p.packed(p.CLIENT4 if family == 4 else p.CLIENT6)


class Machine(ABC):
    """A policy with its maps."""

    def __init__(self, entry: Entry) -> None:
        """Begin with an empty state; `flags` are added to every setting."""
        self.entry = entry
        self.flags = NO_FLAGS
        self.installed: dict[tuple[bytes, int, int], _abi.Grant] = {}

    @abstractmethod
    def run(self, frame: bytes) -> Outcome:
        """Judge one Ethernet frame, or what is behind its header."""

    @abstractmethod
    def put(self, name: str, key: bytes, value: bytes) -> None:
        """Write an element of a map."""

    @abstractmethod
    def get(self, name: str, key: bytes) -> bytes | None:
        """Read an element of a map."""

    @abstractmethod
    def items(self, name: str) -> dict[bytes, bytes]:
        """Return what a hash map holds."""

    @abstractmethod
    def clear(self) -> None:
        """Empty every map but the counters."""

    @abstractmethod
    def counters(self) -> Counters:
        """Return every counter by reason and CPU."""

    def builds(self, frame: bytes) -> bool:
        """Return whether this packet can be made here."""
        return bool(frame)

    def data(self, frame: bytes) -> bytes:
        """Return what this entry is given of an Ethernet frame."""
        return self.entry.data(frame)

    def reset(self) -> None:
        """Protect nothing, know nobody; no rate limit, no flags."""
        self.clear()
        self.installed.clear()
        self.settings()

    def settings(
        self, flags: Flag = NO_FLAGS, *, cost_ns: int = 0, burst: int = 1, session_ns: int = 0
    ) -> None:
        """Write the settings, with `self.flags`; `cost_ns` is the time in which a token grows back."""
        value = _abi.SETTINGS.pack(_abi.ABI_VERSION, flags | self.flags, cost_ns, burst * cost_ns, session_ns)
        self.put("spale_settings", index(0), value)

    def service(self, port: int, service: int) -> None:
        """Protect a port."""
        self.put("spale_services", index(port), index(service))

    def grant(self, source: bytes, protocol: int, port: int, grant: _abi.Grant) -> None:
        """Install a grant, and note it in `installed`."""
        self.installed[source, protocol, port] = grant
        self.put("spale_grants", _abi.GRANT_KEY.pack(source, protocol, port), _abi.GRANT.pack(*grant))

    def granted(self, source: bytes, protocol: int, port: int) -> _abi.Grant | None:
        """Return a grant as it is now."""
        value = self.get("spale_grants", _abi.GRANT_KEY.pack(source, protocol, port))
        return None if value is None else _abi.Grant(*_abi.GRANT.unpack(value))

    def session(self, key: _abi.SessionKey, session: _abi.Session) -> None:
        """Install a session. Whoever does also sets how many the source and service hold."""
        self.put("spale_sessions", _abi.SESSION_KEY.pack(*key), _abi.SESSION.pack(*session))

    def sessions(self) -> dict[_abi.SessionKey, _abi.Session]:
        """Return all sessions as they are now."""
        return {
            _abi.SessionKey(*_abi.SESSION_KEY.unpack(key)): _abi.Session(*_abi.SESSION.unpack(value))
            for key, value in self.items("spale_sessions").items()
        }

    def holds(self, peer: bytes, count: int) -> None:
        """Say how many sessions a source and service (a grant's key) hold."""
        self.put("spale_session_counts", peer, index(count))

    def held(self) -> dict[bytes, int]:
        """Return how many sessions every source and service hold, as far as that is counted."""
        counts = self.items("spale_session_counts")
        return {peer: int.from_bytes(count, sys.byteorder) for peer, count in counts.items()}

    def always_allow(self, family: int, source: bytes, bits: int) -> None:
        """Let a prefix in, of `bits` bits of the 128."""
        self.put("spale_allow", _abi.ALLOW_KEY.pack(_abi.ALLOW_FAMILY_BITS + bits, family, source), b"\x01")

    def tag(self, tag: bytes, mac_key: bytes, not_before_ns: int, not_after_ns: int) -> None:
        """Make a tag known."""
        keys = struct.unpack("<QQ", mac_key)
        self.bit(tag)
        self.put("spale_tags", tag, _abi.TAG.pack(*keys, not_before_ns, not_after_ns))

    def v1_tag(self, tag: bytes, not_before_ns: int, not_after_ns: int) -> None:
        """Make a tag of version 1 known."""
        self.put("spale_v1_tags", tag, _abi.V1_TAG.pack(not_before_ns, not_after_ns))

    def bit(self, tag: bytes) -> None:
        """Set the bit of a tag, without which it is not looked up."""
        number = int.from_bytes(tag, sys.byteorder)
        key = index(number >> 6 & _abi.TAG_FILTER_WORDS - 1)
        word = int.from_bytes(self.get("spale_tag_filter", key) or b"", sys.byteorder) | 1 << (number & 63)
        self.put("spale_tag_filter", key, word.to_bytes(8, sys.byteorder))

    def counted(self, before: Counters) -> dict[Reason, bytes]:
        """Return the reasons counted since `before`, each with the source that its counter shows."""
        return {
            reason: cpu.last_source
            for (reason, number), cpu in self.counters().items()
            if (reason, number) not in before or cpu.packets > before[reason, number].packets
        }
