# SPDX-License-Identifier: MIT
"""Those to whom a scene is played: the programs in the kernel, and the same headers built for user space."""

from __future__ import annotations

import ctypes
import sys
import zlib
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import machine
import native_machine
from machine import ETH_LENGTH, SECOND, index
from packet_model import TCP
from policy_model import KNOCK, NEVER, Four, Grant, Pair, Policy, Session
from rig import Rig
from scenes import BEGIN_NS, MAX_COUNTS, MAX_SESSIONS

from spale_bpf import _abi, libbpf
from spale_bpf._abi import REASON_FIRST_COUNTED, Flag, Reason, Service

if TYPE_CHECKING:
    from collections.abc import Callable

    from machine import Entry, Machine

    from spale_bpf.loadable import Loadable

COUNTED = [reason for reason in Reason if reason >= REASON_FIRST_COUNTED]

LIMITS = {"spale_sessions": MAX_SESSIONS, "spale_session_counts": MAX_COUNTS}
"""How much these maps hold, so little that they are full now and then."""


class Player(ABC):
    """One policy that is no model."""

    name: str
    machine: Machine
    begin_ns: int
    """What its clock showed when the scene began, less the pauses since."""

    lateness_ns = 0
    """How far its clock runs on while the scene's stands still."""

    def install(self, policy: Policy) -> None:
        """Begin a scene."""
        made, self.begin_ns = self.machine, self.clock_ns()
        made.reset()
        self.settings(policy)
        for port, service in services(policy).items():
            made.service(port, service)
        for pair, grant in policy.grants.items():
            self.knock(pair, grant)
        for key, session in policy.sessions.items():
            times = self.moved(session.opened_ns), self.moved(session.last_ns)
            made.session(packed(key), _abi.Session(*times, session.state))
        for pair, count in policy.counts.items():
            made.holds(_abi.GRANT_KEY.pack(*pair), count)
        for prefix in policy.always_allow:
            made.always_allow(*prefix)
        for (length, name), tag in policy.tags.items():
            times = self.moved(tag.not_before_ns), self.moved(tag.not_after_ns)
            if length == KNOCK:
                made.tag(name, tag.mac_key, *times)
            else:
                made.v1_tag(name, *times)

    def settings(self, policy: Policy) -> None:
        """Write the settings of a policy, and nothing else of it."""
        flags = (Flag.LOG_ONLY if policy.log_only else 0) | (Flag.ALWAYS_ALLOW if policy.always_allow else 0)
        flags |= Flag.V1 if len(policy.knocks) > 1 else 0
        measures = {"cost_ns": policy.token_ns, "burst": policy.burst, "session_ns": policy.session_ns}
        self.machine.settings(Flag(flags), **measures)

    def moved(self, moment_ns: int) -> int:
        """Return a moment of the scene on this player's clock; the beginning and the end of time stay."""
        return moment_ns if moment_ns in (0, NEVER) else max(0, moment_ns - BEGIN_NS + self.begin_ns)

    def knock(self, pair: Pair, grant: Grant) -> None:
        """Install a grant."""
        times = (self.moved(grant.last_ns), grant.idle_ns, grant.grace_ns, self.moved(grant.end_ns))
        self.machine.grant(*pair, _abi.Grant(*times))

    def grant(self, pair: Pair) -> Grant | None:
        """Return a grant as it is now."""
        found = self.machine.granted(*pair)
        return Grant(*found) if found else None

    def session(self, key: Four) -> Session | None:
        """Return a session as it is now."""
        value = self.machine.get("spale_sessions", _abi.SESSION_KEY.pack(*packed(key)))
        return Session(*_abi.SESSION.unpack(value)) if value else None

    def count(self, pair: Pair) -> int | None:
        """Return how many sessions a source and service hold, as far as that is counted."""
        value = self.machine.get("spale_session_counts", _abi.GRANT_KEY.pack(*pair))
        return int.from_bytes(value, sys.byteorder) if value else None

    def books(self) -> tuple[dict[Pair, Grant], dict[Four, Session], dict[Pair, int]]:
        """Return all grants, sessions and counts."""
        unpack = _abi.GRANT_KEY.unpack
        grants = self.machine.items("spale_grants").items()
        return (
            {unpack(pair): Grant(*_abi.GRANT.unpack(value)) for pair, value in grants},
            {
                (unpack(key.peer), key.destination, key.source_port): Session(*session)
                for key, session in self.machine.sessions().items()
            },
            {unpack(pair): count for pair, count in self.machine.held().items()},
        )

    @abstractmethod
    def clock_ns(self) -> int:
        """Return what its clock shows at the beginning of a scene."""

    @abstractmethod
    def wait(self, pause_ns: int) -> None:
        """Let time go by."""

    @abstractmethod
    def builds(self, frame: bytes) -> bool:
        """Return whether it can be given this frame."""

    @abstractmethod
    def run(self, ethertype: int, data: bytes) -> bool:
        """Return whether a packet, with or without its Ethernet header, passes."""

    @abstractmethod
    def counted(self, reason: Reason) -> tuple[int, bytes]:
        """Return how often this reason was counted in this process, and for whom last."""


def packed(key: Four) -> _abi.SessionKey:
    """Return a session's key as the map has it."""
    pair, destination, source_port = key
    return _abi.SessionKey(_abi.GRANT_KEY.pack(*pair), destination, source_port)


def services(policy: Policy) -> dict[int, int]:
    """Return the services of a policy as the map has them."""
    found = {port: int(Service.SPA) for port in policy.spa_ports}
    for protocol, port in policy.services:
        found[port] = found.get(port, 0) | (Service.TCP if protocol == TCP else Service.UDP)
    return found


class SmallRig(Rig):
    """A program with little room for sessions."""

    def alter(self, loading: Loadable) -> None:
        """Make the maps smaller."""
        for name, entries in LIMITS.items():
            loading.set_max_entries(name, entries)


class Kernel(Player):
    """A loaded program. Its clock cannot be set: to wait is to make all that it knows so much older."""

    lateness_ns = 2 * SECOND

    def __init__(self, entry: Entry, make: Callable[[Entry], Rig] = SmallRig) -> None:
        """Load it: make(entry)."""
        self.machine = self.rig = rig = make(entry)
        self.name = f"{entry.name} of {type(rig).__name__}"
        self._pass = entry.value[2]
        self._counters = rig.object.map_fd("spale_counters")

    def clock_ns(self) -> int:
        """Return the kernel's time."""
        return machine.now_ns()

    def wait(self, pause_ns: int) -> None:
        """Make grants, sessions, tags and buckets older."""
        self.begin_ns -= pause_ns
        for key, session in self.rig.sessions().items():
            opened_ns, last_ns = earlier(session.opened_ns, pause_ns), earlier(session.last_ns, pause_ns)
            self.rig.session(key, _abi.Session(opened_ns, last_ns, session.state))
        for key in self.rig.installed:
            grant = self.rig.granted(*key)
            assert grant is not None
            older = {"last_ns": earlier(grant.last_ns, pause_ns), "end_ns": earlier(grant.end_ns, pause_ns)}
            self.rig.grant(*key, grant._replace(**older))
        for tags, layout in (("spale_tags", _abi.TAG), ("spale_v1_tags", _abi.V1_TAG)):
            for name, value in self.rig.items(tags).items():
                *keys, before_ns, after_ns = layout.unpack(value)
                moved = layout.pack(*keys, earlier(before_ns, pause_ns), earlier(after_ns, pause_ns))
                self.rig.put(tags, name, moved)
        for buckets in ("spale_buckets", "spale_v1_buckets"):
            for key, value in self.rig.items(buckets).items():
                full_ns = earlier(int.from_bytes(value, sys.byteorder), pause_ns)
                self.rig.put(buckets, key, full_ns.to_bytes(8, sys.byteorder))

    def builds(self, frame: bytes) -> bool:
        """Return whether BPF_PROG_TEST_RUN can make it."""
        return self.rig.builds(frame)

    def run(self, ethertype: int, data: bytes) -> bool:
        """Run the program; the kernel finds the ethertype itself."""
        del ethertype
        return libbpf.prog_test_run(self.rig.fd, data).retval == self._pass

    def counted(self, reason: Reason) -> tuple[int, bytes]:
        """Add up the CPUs; the tests keep to one, so its source is the last."""
        values = libbpf.map_lookup_percpu(self._counters, index(reason), _abi.COUNTER.size)
        moved = [counter for counter in map(_abi.COUNTER.unpack, values) if counter[0]]
        return sum(packets for packets, _ in moved), moved[0][1] if len(moved) == 1 else bytes(16)


def earlier(moment_ns: int, pause_ns: int) -> int:
    """Return a moment moved into the past; the beginning and the end of time stay."""
    return moment_ns if moment_ns == NEVER else max(0, moment_ns - pause_ns)


class Native(Player):
    """The headers in user space: the clock is the scene's, and part of a packet may be out of direct reach.

    There is one state for all instances: two of them cannot play at once.
    """

    def __init__(self, *, ethernet: bool) -> None:
        """Judge frames, or packets without an Ethernet header."""
        self.machine = self._native = native_machine.Native()
        self.name = f"native {'eth' if ethernet else 'l3'}"
        self._library = native_machine.library()
        self._offset = ETH_LENGTH if ethernet else 0

    def clock_ns(self) -> int:
        """Begin with every scene anew."""
        self._now_ns = BEGIN_NS
        return BEGIN_NS

    def install(self, policy: Policy) -> None:
        """Begin a scene with as little room as the programs have."""
        super().install(policy)
        for name, entries in LIMITS.items():
            self._native.limit(name, entries)

    def wait(self, pause_ns: int) -> None:
        """Set the clock."""
        self._now_ns += pause_ns

    def builds(self, frame: bytes) -> bool:
        """Take whatever has the header that its entry does not read."""
        return len(frame) >= ETH_LENGTH - self._offset

    def run(self, ethertype: int, data: bytes) -> bool:
        """Run it; how much is in direct reach depends on the packet, but is always the same for one."""
        align = native_machine.ALIGN if self._offset else 0
        buffer = ctypes.create_string_buffer(bytes(align) + data, align + len(data))
        first = min(self._offset, len(data))
        reach = first + zlib.crc32(data) % (len(data) - first + 1)
        start = ctypes.addressof(buffer) + align
        if self._offset:
            return not self._library.native_run_frame(start, reach, len(data), self._now_ns)
        wire = int.from_bytes(ethertype.to_bytes(2, "big"), "little")
        return not self._library.native_run(start, reach, len(data), 0, wire, self._now_ns)

    def counted(self, reason: Reason) -> tuple[int, bytes]:
        """Return the counter."""
        value = self.machine.get("spale_counters", index(reason))
        return _abi.COUNTER.unpack(value or bytes(_abi.COUNTER.size))
