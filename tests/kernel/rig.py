# SPDX-License-Identifier: MIT
"""A loaded program of ours with its maps, and packets through it by BPF_PROG_TEST_RUN."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Self

import packets as p
from machine import ETH_LENGTH, Counters, Entry, Machine, Outcome, index

from spale_bpf import _abi, libbpf
from spale_bpf._abi import Reason

if TYPE_CHECKING:
    from types import TracebackType

    from spale_bpf.loadable import Loadable

BPF = Path(__file__).parents[2] / "bpf"
OBJECTS = BPF / "src" / "spale_bpf" / "objects"
BUILD = BPF / "build"

BASE_FILES = ("spale_tc", "spale_xdp")
COARSE_FILES = tuple(f"{name}_coarse" for name in BASE_FILES)
FILES = BASE_FILES + COARSE_FILES
"""The object files."""

CLEARED = (
    "spale_grants",
    "spale_sessions",
    "spale_session_counts",
    "spale_allow",
    "spale_tags",
    "spale_v1_tags",
    "spale_seen_macs",
    "spale_buckets",
    "spale_v1_buckets",
)
CLEANED = ("spale_services", "spale_tag_filter")
"""Arrays; of the others nothing is left to clean."""

ENTRIES = {
    "spale_grants": 64,
    "spale_sessions": 256,
    "spale_session_counts": 64,
    "spale_allow": 64,
    "spale_tags": 64,
    "spale_v1_tags": 64,
    "spale_seen_macs": 1024,
}


@functools.cache
def build() -> None:
    """Build the objects if they are older than their source; once."""
    command = ["make", "--no-print-directory", "--silent", "-C", str(BPF)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def buildable(entry: Entry, frame: bytes) -> bool:
    """Return whether BPF_PROG_TEST_RUN can make this packet.

    For TC it takes the first 14 bytes for an Ethernet header, also where they are none, and refuses what is
    too short for the IP header that they promise.
    """
    data = entry.data(frame)
    promised = {p.ETH_IPV4: 20, p.ETH_IPV6: 40}.get(int.from_bytes(data[12:14], "big"), 0)
    return len(data) >= ETH_LENGTH + (0 if entry is Entry.XDP else promised)


class Rig(Machine):
    """One entry, loaded; a context manager."""

    def __init__(self, entry: Entry) -> None:
        """Load the object of `entry` with small maps."""
        super().__init__(entry)
        build()
        base, self._program, self._pass, self._drop = entry.value
        file = self.file(base)
        self.object = self.open(file)
        for name, entries in ENTRIES.items():
            self.object.set_max_entries(name, entries)
        self.alter(self.object)
        self.object.load()
        self._indexes: dict[str, set[bytes]] = {name: set() for name in CLEANED}
        self._fds: dict[str, int] = {}
        self.reset()

    def file(self, base: str) -> str:
        """Return which object file to load; the base one, unless a test wants another."""
        return base

    def open(self, file: str) -> Loadable:
        """Return what is to be loaded: an object file, unless a test wants it compiled."""
        return libbpf.Object.open((OBJECTS / f"{file}.bpf.o").read_bytes(), file)

    def alter(self, loading: Loadable) -> None:
        """Change an object before it is loaded; nothing, unless a test wants it."""

    def __enter__(self) -> Self:
        """Return the rig itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Unload."""
        self.object.close()

    @property
    def fd(self) -> int:
        """Return the program's descriptor."""
        return self.object.program_fd(self._program)

    def run(self, frame: bytes) -> Outcome:
        """Run one Ethernet frame, or what is behind its header, through the program."""
        before = self.counters()
        retval = libbpf.prog_test_run(self.fd, self.data(frame)).retval
        assert retval in {self._pass, self._drop}, f"the program returned {retval}"
        return Outcome(retval == self._pass, self.counted(before))

    def builds(self, frame: bytes) -> bool:
        """Return whether `buildable` says so of this entry."""
        return buildable(self.entry, frame)

    def put(self, name: str, key: bytes, value: bytes) -> None:
        """Write an element of a map."""
        if name in CLEANED:
            self._indexes[name].add(key)
        libbpf.map_update(self._map(name), key, value)

    def _map(self, name: str) -> int:
        if name not in self._fds:  # to ask libbpf takes longer than to look an element up
            self._fds[name] = self.object.map_fd(name)
        return self._fds[name]

    def get(self, name: str, key: bytes) -> bytes | None:
        """Read an element of a map."""
        return libbpf.map_lookup(self._map(name), key, _abi.MAPS[name].value_size)

    def items(self, name: str) -> dict[bytes, bytes]:
        """Return what a hash map holds."""
        shape = _abi.MAPS[name]
        return dict(libbpf.map_items(self._map(name), shape.key_size, shape.value_size))

    def clear(self) -> None:
        """Empty every map but the counters; an array has no fewer elements for it, but zeros."""
        for name in CLEARED:
            fd = self._map(name)
            for key in list(libbpf.map_keys(fd, _abi.MAPS[name].key_size)):
                libbpf.map_delete(fd, key)
        for name, indexes in self._indexes.items():
            for key in indexes:
                libbpf.map_update(self._map(name), key, bytes(_abi.MAPS[name].value_size))
            indexes.clear()

    def counters(self) -> Counters:
        """Return every counter by reason and CPU."""
        fd = self.object.map_fd("spale_counters")
        return {
            (reason, number): _abi.Counter(*_abi.COUNTER.unpack(value))
            for reason in Reason
            for number, value in enumerate(libbpf.map_lookup_percpu(fd, index(reason), _abi.COUNTER.size))
        }
