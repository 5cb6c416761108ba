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
from machine import ETH_LENGTH, index
from packet_model import TCP
from policy_model import NEVER, Policy
from scenes import BEGIN_NS

from spale_bpf import _abi, libbpf
from spale_bpf._abi import REASON_FIRST_DROP, Flag, Reason, Service

if TYPE_CHECKING:
    from machine import Machine
    from rig import Rig

DROPS = [reason for reason in Reason if reason >= REASON_FIRST_DROP]


class Player(ABC):
    """One policy that is no model."""

    name: str
    machine: Machine
    begin_ns: int
    """What its clock showed when the scene began, less the pauses since."""

    def install(self, policy: Policy) -> None:
        """Begin a scene."""
        made, self.begin_ns = self.machine, self.clock_ns()
        made.reset()
        flags = (Flag.LOG_ONLY if policy.log_only else 0) | (Flag.ALWAYS_ALLOW if policy.always_allow else 0)
        made.settings(Flag(flags), cost_ns=policy.token_ns, burst=policy.burst)
        for port, service in services(policy).items():
            made.service(port, service)
        for key, grant in policy.grants.items():
            times = (self.moved(grant.last_ns), grant.idle_ns, grant.grace_ns, self.moved(grant.end_ns))
            made.grant(*key, _abi.Grant(*times))
        for prefix in policy.always_allow:
            made.always_allow(*prefix)
        for name, tag in policy.tags.items():
            made.tag(name, tag.mac_key, self.moved(tag.not_before_ns), self.moved(tag.not_after_ns))

    def moved(self, moment_ns: int) -> int:
        """Return a moment of the scene on this player's clock; the beginning and the end of time stay."""
        return moment_ns if moment_ns in (0, NEVER) else max(0, moment_ns - BEGIN_NS + self.begin_ns)

    def last_ns(self, key: tuple[bytes, int, int]) -> int:
        """Return the `last` of a grant on the scene's clock."""
        grant = self.machine.granted(*key)
        assert grant is not None
        return grant.last_ns - self.begin_ns + BEGIN_NS

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
    def dropped(self, reason: Reason) -> tuple[int, bytes]:
        """Return how often this reason was counted in this process, and for whom last."""


def services(policy: Policy) -> dict[int, int]:
    """Return the services of a policy as the map has them."""
    found = {port: int(Service.SPA) for port in policy.spa_ports}
    for protocol, port in policy.services:
        found[port] = found.get(port, 0) | (Service.TCP if protocol == TCP else Service.UDP)
    return found


class Kernel(Player):
    """A loaded program. Its clock cannot be set: to wait is to make all that it knows so much older."""

    def __init__(self, rig: Rig) -> None:
        """Play with a rig that nobody else uses."""
        self.machine = self.rig = rig
        self.name = rig.entry.name
        self._pass = rig.entry.value[2]
        self._counters = rig.object.map_fd("spale_counters")

    def clock_ns(self) -> int:
        """Return the kernel's time."""
        return machine.now_ns()

    def wait(self, pause_ns: int) -> None:
        """Make grants, tags and buckets older."""
        self.begin_ns -= pause_ns
        for key in self.rig.installed:
            grant = self.rig.granted(*key)
            assert grant is not None
            older = {"last_ns": earlier(grant.last_ns, pause_ns), "end_ns": earlier(grant.end_ns, pause_ns)}
            self.rig.grant(*key, grant._replace(**older))
        for name, value in self.rig.items("spale_tags").items():
            *keys, before_ns, after_ns = _abi.TAG.unpack(value)
            moved = _abi.TAG.pack(*keys, earlier(before_ns, pause_ns), earlier(after_ns, pause_ns))
            self.rig.put("spale_tags", name, moved)
        for source, value in self.rig.items("spale_buckets").items():
            full_ns = earlier(int.from_bytes(value, sys.byteorder), pause_ns)
            self.rig.put("spale_buckets", source, full_ns.to_bytes(8, sys.byteorder))

    def builds(self, frame: bytes) -> bool:
        """Return whether BPF_PROG_TEST_RUN can make it."""
        return self.rig.builds(frame)

    def run(self, ethertype: int, data: bytes) -> bool:
        """Run the program; the kernel finds the ethertype itself."""
        del ethertype
        return libbpf.prog_test_run(self.rig.fd, data).retval == self._pass

    def dropped(self, reason: Reason) -> tuple[int, bytes]:
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
        self.machine = native_machine.Native()
        self.name = f"native {'eth' if ethernet else 'l3'}"
        self._library = native_machine.library()
        self._offset = ETH_LENGTH if ethernet else 0

    def clock_ns(self) -> int:
        """Begin with every scene anew."""
        self._now_ns = BEGIN_NS
        return BEGIN_NS

    def wait(self, pause_ns: int) -> None:
        """Set the clock."""
        self._now_ns += pause_ns

    def builds(self, frame: bytes) -> bool:
        """Take whatever has the header that the entry has read before."""
        return len(frame) >= ETH_LENGTH

    def run(self, ethertype: int, data: bytes) -> bool:
        """Run it; how much is in direct reach depends on the packet, but is always the same for one."""
        align = native_machine.ALIGN if self._offset else 0
        buffer = ctypes.create_string_buffer(bytes(align) + data, align + len(data))
        reach = self._offset + zlib.crc32(data) % (len(data) - self._offset + 1)
        wire = int.from_bytes(ethertype.to_bytes(2, "big"), "little")
        start = ctypes.addressof(buffer) + align
        return not self._library.native_run(start, reach, len(data), self._offset, wire, self._now_ns)

    def dropped(self, reason: Reason) -> tuple[int, bytes]:
        """Return the counter."""
        value = self.machine.get("spale_counters", index(reason))
        return _abi.COUNTER.unpack(value or bytes(_abi.COUNTER.size))
