# SPDX-License-Identifier: MIT
"""Real packets on a device of our own in a namespace of our own, with a program at its ingress.

write() ─► tap0 or tun0 ─► clsact 1: the program ─► clsact 2: counts what comes through, and drops it
"""

from __future__ import annotations

import enum
import fcntl
import os
import socket
import struct
import time
from typing import TYPE_CHECKING, Self

import rig
from machine import ETH_LENGTH, Entry, Outcome, index
from rig import Rig

from spale_bpf import libbpf
from spale_bpf._abi import REASON_FIRST_DROP
from spale_core.demo.stage import Namespace

if TYPE_CHECKING:
    from types import TracebackType

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0001, 0x0002, 0x1000, 0x4000
DEVICE = "wire0"
PAGE = 4096
DEADLINE_S = 5.0


class Layout(enum.Enum):
    """Where the kernel puts the bytes of a packet, and what the device is."""

    TAP_LINEAR = "tap, all in the linear part"
    TAP_PAGED = "tap, only the Ethernet header in the linear part"
    TUN = "tun: no Ethernet header"

    @property
    def entry(self) -> Entry:
        """Return the program for such a device."""
        return Entry.TC_L3 if self is Layout.TUN else Entry.TC_ETH

    def takes(self, frame: bytes) -> bool:
        """Return whether the device takes this packet: tun looks at its first half-byte for the protocol."""
        return self is not Layout.TUN or frame[12:14] == {4: b"\x08\0", 6: b"\x86\xdd"}.get(frame[14] >> 4)


class Wire(Rig):
    """A rig whose packets are real."""

    def __init__(self, layout: Layout) -> None:
        """Make namespace and device, and hang the programs on it."""
        super().__init__(layout.entry)
        self._layout = layout
        self._behind = libbpf.Object.open((rig.BUILD / "spale_selftest.bpf.o").read_bytes(), "selftest")
        self._namespace = Namespace()
        try:
            self._behind.load()
            with self._namespace.inside():
                self._device, self.ifindex = _device(layout)
                libbpf.tc_hook_create(self.ifindex)
                libbpf.tc_attach(self.fd, self.ifindex, libbpf.ClsactFilter(1, 1))
                behind = self._behind.program_fd("selftest_behind")
                libbpf.tc_attach(behind, self.ifindex, libbpf.ClsactFilter(2, 1))
            self._namespace.up(DEVICE)
        except BaseException:
            self._namespace.close()
            raise

    def __enter__(self) -> Self:
        """Return the rig itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take everything away."""
        os.close(self._device)
        self._namespace.close()
        self._behind.close()
        super().__exit__(kind, error, trace)

    @property
    def paged(self) -> bool:
        """Whether its packets are padded until they do not fit the linear part."""
        return self._layout is Layout.TAP_PAGED

    def builds(self, frame: bytes) -> bool:
        """Return whether the device takes this packet."""
        return self._layout.takes(frame)

    def send(self, frame: bytes) -> None:
        """Let a packet arrive."""
        data = self.data(frame)
        if self.paged:
            # Beyond a page, `hdr_len` of the virtio header is the size of the linear part.
            data = struct.pack("=BBHHHH", 0, 0, ETH_LENGTH, 0, 0, 0) + data.ljust(PAGE + 1000, b"\0")
        os.write(self._device, data)

    def run(self, frame: bytes) -> Outcome:
        """Let a packet arrive and wait until it is counted, here or behind."""
        before, seen = self.counters(), self._seen()
        self.send(frame)
        end = time.monotonic() + DEADLINE_S
        while True:
            dropped = any(reason >= REASON_FIRST_DROP for reason in self.counted(before)) and not self.flags
            passed = self._seen() > seen
            if passed or dropped:
                return Outcome(passed, self.counted(before))
            assert time.monotonic() < end, "the packet was neither dropped nor let through"

    def _seen(self) -> int:
        value = libbpf.map_lookup(self._behind.map_fd("selftest_seen"), index(0), 8)
        return int.from_bytes(value or b"", "little")


def _device(layout: Layout) -> tuple[int, int]:
    """Make the device in this thread's namespace; return its descriptor and index."""
    kind = {
        Layout.TAP_LINEAR: IFF_TAP,
        Layout.TAP_PAGED: IFF_TAP | IFF_VNET_HDR,
        Layout.TUN: IFF_TUN,
    }[layout]
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), kind | IFF_NO_PI))
    return descriptor, socket.if_nametoindex(DEVICE)
