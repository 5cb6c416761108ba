# SPDX-License-Identifier: MIT
"""What the tests of the TC enforcer share."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager

from lab import FLOODED, SCHED_CLS, TC_NEXT, chained, program, settings

from spale_bpf import filters, libbpf
from spale_tc.attach import make

OURS = "spale_tc_eth"
GENERATIONS = int(os.environ.get("SPALE_GENERATIONS", "20"))
"""How often a program is replaced under a flood; an emulator takes long for each."""

CHAIN_MAX = 63  # the kernel takes one less than BPF_MPROG_MAX


@contextmanager
def dataplane(**options):
    """Load one that drops what floods; closing it leaves its programs attached."""
    made = make(settings(), **options)
    made.set_services({FLOODED})
    try:
        yield made
    finally:
        made.close()


def without_tcx(_):
    """Stand for a kernel before 6.6."""
    return False


def attached(door):
    """Return the ids of all programs on a door: the chain's, then the filters'."""
    index = socket.if_nametoindex(door)
    return [*chained(door), *(found.program_id for found in filters.bpf_filters(index))]


def fill_chain(door, stack, leave=0):
    """Hang programs of somebody else into the chain of `door` until the kernel takes no more.

    With `leave` so many less: what was there already.
    """
    for number in range(CHAIN_MAX - leave):
        descriptor = stack.enter_context(program(SCHED_CLS, f"foreign_{number}", TC_NEXT))
        libbpf.prog_attach(descriptor, socket.if_nametoindex(door))
