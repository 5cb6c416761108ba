# SPDX-License-Identifier: MIT
"""A loaded program of ours with its maps, and packets through it by BPF_PROG_TEST_RUN."""

from __future__ import annotations

import enum
import functools
import struct
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

import packets as p

from spale_bpf import _abi, libbpf
from spale_bpf._abi import Flag, Reason

if TYPE_CHECKING:
    from types import TracebackType

BPF = Path(__file__).parents[2] / "bpf"
OBJECTS = BPF / "src" / "spale_bpf" / "objects"
BUILD = BPF / "build"

NEVER = 2**64 - 1
SECOND = 1_000_000_000
NO_FLAGS = Flag(0)
ETH_LENGTH = 14

Counters = dict[tuple[Reason, int], _abi.Counter]

CLEARED = ("spale_grants", "spale_allow", "spale_tags", "spale_seen_macs", "spale_buckets")
ENTRIES = {"spale_grants": 64, "spale_allow": 64, "spale_tags": 64, "spale_seen_macs": 1024}


class Entry(enum.Enum):
    """A program: its object file, its name, and what it returns for PASS and DROP."""

    TC_ETH = ("spale_tc", "spale_tc_eth", 0xFFFFFFFF, 2)
    TC_L3 = ("spale_tc", "spale_tc_l3", 0xFFFFFFFF, 2)
    XDP = ("spale_xdp", "spale_xdp", 2, 1)

    @property
    def ethernet(self) -> bool:
        """Whether its packets begin with an Ethernet header."""
        return self is not Entry.TC_L3


class Outcome(NamedTuple):
    """What became of a packet: whether it passed, and the reasons that were counted with their source."""

    passed: bool
    counted: dict[Reason, bytes]


def now_ns() -> int:
    """Return what bpf_ktime_get_ns reads."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def index(number: int) -> bytes:
    """Return a key of an array map."""
    return struct.pack("=I", number)


class Rig:
    """One entry, loaded; a context manager."""

    def __init__(self, entry: Entry) -> None:
        """Load the object of `entry` with small maps."""
        build()
        self.entry = entry
        file, self._program, self._pass, self._drop = entry.value
        self.object = libbpf.Object.open((OBJECTS / f"{file}.bpf.o").read_bytes(), file)
        for name, entries in ENTRIES.items():
            self.object.set_max_entries(name, entries)
        self.alter(self.object)
        self.object.load()
        self.flags = NO_FLAGS
        self.installed: dict[tuple[bytes, int, int], _abi.Grant] = {}
        self._ports: set[int] = set()
        self.reset()

    def alter(self, loading: libbpf.Object) -> None:
        """Change an object before it is loaded; nothing, unless a test wants it."""

    def __enter__(self) -> Self:
        """Return the rig itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Unload."""
        self.object.close()

    def reset(self) -> None:
        """Protect nothing, know nobody; no rate limit, no flags."""
        for name in CLEARED:
            fd = self.object.map_fd(name)
            for key in list(libbpf.map_keys(fd, _abi.MAPS[name].key_size)):
                libbpf.map_delete(fd, key)
        for port in self._ports:
            self._put("spale_services", index(port), index(0))
        self._ports.clear()
        self.installed.clear()
        self.settings()

    def settings(self, flags: Flag = NO_FLAGS, *, cost_ns: int = 0, burst: int = 1) -> None:
        """Write the settings; `cost_ns` is the time in which a token grows back. `self.flags` are added."""
        value = _abi.SETTINGS.pack(_abi.ABI_VERSION, flags | self.flags, cost_ns, burst * cost_ns)
        self._put("spale_settings", index(0), value)

    def forget_settings(self) -> None:
        """Remove the settings, where their map is one from which something can be removed."""
        libbpf.map_delete(self.object.map_fd("spale_settings"), index(0))

    def service(self, port: int, service: int) -> None:
        """Protect a port."""
        self._ports.add(port)
        self._put("spale_services", index(port), index(service))

    def grant(self, source: bytes, protocol: int, port: int, grant: _abi.Grant) -> None:
        """Install a grant, and note it in `installed`."""
        self.installed[source, protocol, port] = grant
        self._put("spale_grants", _abi.GRANT_KEY.pack(source, protocol, port), _abi.GRANT.pack(*grant))

    def granted(self, source: bytes, protocol: int, port: int) -> _abi.Grant | None:
        """Return a grant as it is now."""
        key = _abi.GRANT_KEY.pack(source, protocol, port)
        value = self._get("spale_grants", key)
        return None if value is None else _abi.Grant(*_abi.GRANT.unpack(value))

    def always_allow(self, family: int, source: bytes, bits: int) -> None:
        """Let a prefix in, of `bits` bits of the 128."""
        self._put("spale_allow", _abi.ALLOW_KEY.pack(_abi.ALLOW_FAMILY_BITS + bits, family, source), b"\x01")

    def tag(self, tag: bytes, mac_key: bytes, not_before_ns: int, not_after_ns: int) -> None:
        """Make a tag known."""
        keys = struct.unpack("<QQ", mac_key)
        self._put("spale_tags", tag, _abi.TAG.pack(*keys, not_before_ns, not_after_ns))

    def run(self, frame: bytes) -> Outcome:
        """Run one Ethernet frame, or what is behind its header, through the program."""
        before = self._counters()
        retval = libbpf.prog_test_run(self.fd, self.data(frame)).retval
        assert retval in {self._pass, self._drop}, f"the program returned {retval}"
        return Outcome(retval == self._pass, self._counted(before))

    @property
    def fd(self) -> int:
        """Return the program's descriptor."""
        return self.object.program_fd(self._program)

    def builds(self, frame: bytes) -> bool:
        """Return whether BPF_PROG_TEST_RUN can make this packet.

        For TC it takes the first 14 bytes for an Ethernet header, also where they are none, and refuses what
        is too short for the IP header that they promise.
        """
        data = self.data(frame)
        promised = {p.ETH_IPV4: 20, p.ETH_IPV6: 40}.get(int.from_bytes(data[12:14], "big"), 0)
        return len(data) >= ETH_LENGTH + (0 if self.entry is Entry.XDP else promised)

    def data(self, frame: bytes) -> bytes:
        """Return what this entry is given of an Ethernet frame."""
        return frame if self.entry.ethernet else frame[ETH_LENGTH:]

    def _counted(self, before: Counters) -> dict[Reason, bytes]:
        """Return the reasons counted since `before`, each with the source that its counter shows."""
        return {
            reason: cpu.last_source
            for (reason, number), cpu in self._counters().items()
            if cpu.count > before[reason, number].count
        }

    def _counters(self) -> Counters:
        """Return every counter by reason and CPU."""
        fd = self.object.map_fd("spale_counters")
        return {
            (reason, number): _abi.Counter(*_abi.COUNTER.unpack(value))
            for reason in Reason
            for number, value in enumerate(libbpf.map_lookup_percpu(fd, index(reason), _abi.COUNTER.size))
        }

    def _get(self, name: str, key: bytes) -> bytes | None:
        return libbpf.map_lookup(self.object.map_fd(name), key, _abi.MAPS[name].value_size)

    def _put(self, name: str, key: bytes, value: bytes) -> None:
        libbpf.map_update(self.object.map_fd(name), key, value)


@functools.cache
def build() -> None:
    """Build the objects if they are older than their source; once."""
    command = ["make", "--no-print-directory", "--silent", "-C", str(BPF)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def client(family: int) -> bytes:
    """Return the source that packets come from unless told otherwise."""
    return p.packed(p.CLIENT4 if family == 4 else p.CLIENT6)
