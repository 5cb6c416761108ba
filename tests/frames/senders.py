# SPDX-License-Identifier: MIT
"""Ways in which a frame leaves an interface: what the kernel at the other end gets to see differs."""

from __future__ import annotations

import mmap
import os
import socket
import struct
from typing import TYPE_CHECKING

from spale_bpf.libbpf import native

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spale_core.demo.stage import Namespace

SOL_PACKET, PACKET_VERSION, PACKET_TX_RING = 263, 10, 13
TPACKET_V2 = 1
AVAILABLE, SEND_REQUEST = 0, 1
SLOTS, SLOT_BYTES, BLOCK_BYTES = 4096, 4096, 1 << 16

# struct tpacket2_hdr as far as the sender fills it, and where the frame begins behind it.
RING_HEAD = struct.Struct("=II")
RING_FRAME_AT = 32


BPF_PROG_TYPE_SCHED_CLS = 3
BPF_TCX_INGRESS, BPF_TCX_EGRESS = 46, 47


class Copied:
    """Plain AF_PACKET: the frame is copied, all of it into the linear part of an skb."""

    def __init__(self, namespace: Namespace, interface: str) -> None:
        """Open a socket that hears nothing."""
        with namespace.inside():
            self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            self._sock.bind((interface, 0))

    def send(self, frame: bytes) -> None:
        """Send one frame; at the return the receiver's kernel has dealt with it, unless it is very busy."""
        self._sock.send(frame)

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()


class Ring:
    """AF_PACKET with PACKET_TX_RING: only the Ethernet header is copied; the rest are pages of the ring.

    So an skb has nothing but the Ethernet header in its linear part (packet(7); test_senders.py proves it).
    """

    def __init__(self, namespace: Namespace, interface: str) -> None:
        """Map a ring of so many slots that one need not wait for an skb that is kept (a fragment is)."""
        with namespace.inside():
            self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            self._sock.bind((interface, 0))
        self._sock.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V2)
        size = SLOTS * SLOT_BYTES
        request = struct.pack("=IIII", BLOCK_BYTES, size // BLOCK_BYTES, SLOT_BYTES, SLOTS)
        self._sock.setsockopt(SOL_PACKET, PACKET_TX_RING, request)
        self._ring = mmap.mmap(self._sock.fileno(), size)
        self._slot = 0

    def send(self, frame: bytes) -> None:
        """Send one frame out of the next slot."""
        at = self._slot * SLOT_BYTES
        status, _ = RING_HEAD.unpack_from(self._ring, at)
        assert status == AVAILABLE, "the ring has no free slot"
        start = at + RING_FRAME_AT
        self._ring[start : start + len(frame)] = frame
        RING_HEAD.pack_into(self._ring, at, SEND_REQUEST, len(frame))
        self._sock.send(b"", socket.MSG_DONTWAIT)
        self._slot = (self._slot + 1) % SLOTS

    def close(self) -> None:
        """Give the ring back."""
        self._ring.close()
        self._sock.close()


# Fields of struct __sk_buff.
VLAN_PRESENT_AT, DATA_AT, DATA_END_AT = 20, 76, 80
ETHERNET_BYTES = 14
NEXT, DROP = -1, 2


def push_tags(namespace: Namespace, interface: str, tag: int) -> None:
    """Hang a program at the egress of an interface that gives each frame a VLAN tag with the id 0.

    bpf_skb_vlan_push puts it beside the frame, where hardware and VLAN devices leave theirs.
    """
    code = (
        _instruction(0xB7, 2, value=socket.htons(tag)),  # r2 = tag
        _instruction(0xB7, 3, value=0),
        _instruction(0x85, 0, value=18),  # bpf_skb_vlan_push(r1, r2, r3)
        _instruction(0xB7, 0, value=NEXT),
        _instruction(0x95),  # return r0
    )
    _hang(namespace, interface, BPF_TCX_EGRESS, code)


def demand_nothing_linear(namespace: Namespace, interface: str) -> None:
    """Hang a program at the ingress that drops what has more than an Ethernet header in its linear part."""
    code = (
        _instruction(0x61, 2, 1, offset=DATA_AT),  # r2 = r1->data
        _instruction(0x61, 3, 1, offset=DATA_END_AT),
        _instruction(0x07, 2, value=ETHERNET_BYTES),  # r2 += 14
        _instruction(0xB7, 0, value=DROP),
        _instruction(0x2D, 3, 2, offset=1),  # if r3 > r2, skip one
        _instruction(0xB7, 0, value=NEXT),
        _instruction(0x95),
    )
    _hang(namespace, interface, BPF_TCX_INGRESS, code)


def demand_tag(namespace: Namespace, interface: str) -> None:
    """Hang a program at the ingress that drops what has no VLAN tag beside it."""
    code = (
        _instruction(0x61, 2, 1, offset=VLAN_PRESENT_AT),  # r2 = r1->vlan_present
        _instruction(0xB7, 0, value=DROP),
        _instruction(0x15, 2, offset=1, value=0),  # if r2 == 0, skip one
        _instruction(0xB7, 0, value=NEXT),
        _instruction(0x95),
    )
    _hang(namespace, interface, BPF_TCX_INGRESS, code)


def _hang(namespace: Namespace, interface: str, place: int, code: Sequence[bytes]) -> None:
    """Load a program and hang it in a TCX chain; it goes with the interface."""
    load = (BPF_PROG_TYPE_SCHED_CLS, b"test", b"GPL", b"".join(code), len(code), None)
    descriptor = native.call("test program", "bpf_prog_load", *load)
    try:
        with namespace.inside():
            arguments = (descriptor, socket.if_nametoindex(interface), place, None)
            native.call("TCX attach", "bpf_prog_attach_opts", *arguments)
    finally:
        os.close(descriptor)


def _instruction(opcode: int, to: int = 0, source: int = 0, *, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("<BBhi", opcode, source << 4 | to, offset, value)
