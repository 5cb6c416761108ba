# SPDX-License-Identifier: MIT
"""The policy's headers built for user space, with a clock that stands where the test puts it."""

from __future__ import annotations

import ctypes
import functools
import subprocess
import tempfile
from pathlib import Path

from machine import ETH_LENGTH, Counters, Entry, Machine, Outcome, index, now_ns
from rig import BPF

from spale_bpf import _abi
from spale_bpf._abi import Reason

SOURCE = Path(__file__).with_name("native")
FLAGS = ("-std=gnu11", "-O1", "-g", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror")
TRAPS = ("-fsanitize=undefined", "-fsanitize-trap=undefined", "-fno-sanitize=alignment")
"""Headers are read where they lie, as in the kernel (docs/adr/0015)."""

ALIGN = 2
"""Bytes before an Ethernet frame, so that its IP header is aligned as drivers align it (NET_IP_ALIGN)."""


@functools.cache
def library() -> ctypes.CDLL:
    """Build the library with the compiler's checks for undefined behaviour, and load it."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "native.so"
        folders = (f"-I{BPF / 'include'}", f"-I{SOURCE}")
        command = ["clang", *FLAGS, *TRAPS, *folders, str(SOURCE / "native.c"), "-o", str(target)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        found = ctypes.CDLL(str(target))
    found.native_put.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p)
    found.native_get.argtypes = (ctypes.c_char_p, ctypes.c_char_p)
    found.native_get.restype = ctypes.c_void_p
    found.native_next.argtypes = (ctypes.c_char_p, ctypes.c_uint, ctypes.c_void_p)
    found.native_limit.argtypes = (ctypes.c_char_p, ctypes.c_uint)
    found.native_run.argtypes = (ctypes.c_void_p, *(ctypes.c_uint32,) * 4, ctypes.c_uint64)
    found.native_run_frame.argtypes = (ctypes.c_void_p, *(ctypes.c_uint32,) * 2, ctypes.c_uint64)
    return found


class Native(Machine):
    """The policy in this process. There is one state for all instances: use one at a time."""

    def __init__(self, *, paged: bool = False) -> None:
        """Judge Ethernet frames; with `paged` only their first header is in direct reach."""
        super().__init__(Entry.TC_ETH)
        self.clock_ns: int | None = None
        self._paged = paged
        self._library = library()
        self.reset()

    def run(self, frame: bytes) -> Outcome:
        """Judge one frame at `clock_ns`, or now."""
        before = self.counters()
        buffer = ctypes.create_string_buffer(bytes(ALIGN) + frame, ALIGN + len(frame))
        reach = min(ETH_LENGTH, len(frame)) if self._paged else len(frame)
        clock_ns = now_ns() if self.clock_ns is None else self.clock_ns
        start = ctypes.addressof(buffer) + ALIGN
        dropped = self._library.native_run_frame(start, reach, len(frame), clock_ns)
        return Outcome(not dropped, self.counted(before))

    def put(self, name: str, key: bytes, value: bytes) -> None:
        """Write an element of a map."""
        assert self._library.native_put(name.encode(), key, value) == 0

    def get(self, name: str, key: bytes) -> bytes | None:
        """Read an element of a map."""
        place = self._library.native_get(name.encode(), key)
        return ctypes.string_at(place, _abi.MAPS[name].value_size) if place else None

    def items(self, name: str) -> dict[bytes, bytes]:
        """Return what a hash map holds."""
        found, place = {}, 0
        buffer = ctypes.create_string_buffer(_abi.MAPS[name].key_size)
        while place := self._library.native_next(name.encode(), place, buffer):
            value = self.get(name, buffer.raw)
            assert value is not None
            found[buffer.raw] = value
        return found

    def limit(self, name: str, entries: int) -> None:
        """Let a map hold no more, until all are emptied."""
        self._library.native_limit(name.encode(), entries)

    def clear(self) -> None:
        """Empty every map."""
        self._library.native_clear()

    def counters(self) -> Counters:
        """Return every counter; there is one CPU."""
        found = {}
        for reason in Reason:
            value = self.get("spale_counters", index(reason))
            assert value is not None
            found[reason, 0] = _abi.Counter(*_abi.COUNTER.unpack(value))
        return found
