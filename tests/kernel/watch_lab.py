# SPDX-License-Identifier: MIT
"""What the tests share that take TC programs off, or get before them, and look what becomes of it."""

from __future__ import annotations

import ctypes
import socket
import struct
from contextlib import contextmanager

from lab import SCHED_CLS, command, name_of, program
from tc_lab import attached, without_tcx

from spale_bpf import libbpf
from spale_core.model import AttachMode, Outcome
from spale_tc import clsact

CAP_SYS_ADMIN, CAPABILITY_VERSION_3 = 21, 0x20080522

WAYS = {AttachMode.TCX: {}, AttachMode.CLSACT: {"use_tcx": without_tcx}}
BEFORE_OURS = libbpf.ClsactFilter(clsact.PLACE.priority, 7)
BEHIND_OURS = libbpf.ClsactFilter(clsact.PLACE.priority + 1, 1)


def index():
    """Return the first door's number."""
    return socket.if_nametoindex("door0")


def names():
    """Return the names of the programs on the first door, in the order in which packets meet them."""
    return [name_of(program_id) for program_id in attached("door0")]


def described(name):
    """Return how the log names the program called `name` on the first door."""
    (number,) = (each for each in attached("door0") if name_of(each) == name)
    return f"{name} (program {number})"


@contextmanager
def foreign(mode, result, place=BEFORE_OURS, name="foreign"):
    """Hang somebody else's program before ours, or with `place` where it says; yield its descriptor."""
    with program(SCHED_CLS, name, result) as descriptor:
        if mode is AttachMode.TCX:
            libbpf.prog_attach(descriptor, index())
        else:
            libbpf.tc_attach(descriptor, index(), place)
        yield descriptor


def take_off(mode):
    """Remove our program as an administrator can."""
    if mode is AttachMode.TCX:
        descriptor = libbpf.prog_get_fd_by_id(attached("door0")[0])
        libbpf.prog_detach(descriptor, index())
    else:
        command("tc", "qdisc", "del", "dev", "door0", "clsact")


def repaired(made):
    """Look once; return what was found, all of it put back."""
    losses = made.ensure()
    assert {loss.outcome for loss in losses} <= {Outcome.PUT_BACK}
    assert made.ensure() == []
    return [loss.found for loss in losses]


def refused(made):
    """Look once; return why the one loss could not be put back."""
    (loss,) = made.ensure()
    assert loss.outcome is Outcome.FAILED
    return loss.note


@contextmanager
def without_sys_admin():
    """Lay down CAP_SYS_ADMIN: what a daemon without root has none of. The thread takes it up again."""
    header = struct.pack("=Ii", CAPABILITY_VERSION_3, 0)
    before = ctypes.create_string_buffer(24)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.capget(header, before) == 0
    effective, *rest = struct.unpack("=6I", before.raw)
    assert libc.capset(header, struct.pack("=6I", effective & ~(1 << CAP_SYS_ADMIN), *rest)) == 0
    try:
        yield
    finally:
        assert libc.capset(header, before) == 0
