# SPDX-License-Identifier: MIT
"""The TCX ingress chain (Linux 6.6): several programs one after another, ours first."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from spale_bpf import libbpf
from spale_bpf.ownership import describe
from spale_bpf.watch import NOTHING, Finding

if TYPE_CHECKING:
    from collections.abc import Container

    from spale_bpf.interface import Interface
    from spale_bpf.takeover import Takeover
    from spale_tc.twins import Twins


def attach(fd: int, interface: Interface, takeover: Takeover) -> bool:
    """Make the program `fd` the first of the chain; return whether it replaced one of ours in that place.

    Where others have got in front of ours, the new one goes before them, and the old one is still there.
    Raise LibbpfError.
    """
    chain = libbpf.prog_query(interface.index)
    if chain and takeover.is_ours(chain[0]):
        first = takeover.hold(chain[0])
        libbpf.prog_attach(fd, interface.index, replace_fd=first)
        takeover.undo_by(libbpf.prog_attach, first, interface.index, fd)
        return True
    libbpf.prog_attach(fd, interface.index)
    takeover.undo_by(libbpf.prog_detach, fd, interface.index)
    return False


def look(interface: Interface, ours: Container[int]) -> Finding | None:
    """Return what the chain has instead of ours, once, in the first place. Raise LibbpfError."""
    chain = libbpf.prog_query(interface.index)
    here = [program_id for program_id in chain if program_id in ours]
    if len(here) == 1 and chain[0] in ours:
        return None
    if not chain:
        return Finding(NOTHING, is_there=False)
    if chain[0] in ours:
        return Finding("ours twice", is_there=True)
    place = "before ours" if here else "without ours"
    return Finding(f"{describe(chain[0])} {place}", is_there=bool(here))


def put_first(program: Twins, interface: Interface) -> None:
    """Make the program the first of the chain, whether it is in it or not. Raise LibbpfError.

    The kernel moves no program and takes none twice, so its twin goes to the front before it leaves.
    Each step leaves the packets at least one of the two, so none has to be taken back.
    """
    here = [each for each in libbpf.prog_query(interface.index) if each in program.ids]
    for superfluous in here[1:]:
        _take_out(program.fd(superfluous), interface)
    keep = here[0] if here else None
    if keep is not None and libbpf.prog_query(interface.index)[0] == keep:
        return
    libbpf.prog_attach(program.other_than(keep), interface.index)
    if keep is not None:
        _take_out(program.fd(keep), interface)


def _take_out(fd: int, interface: Interface) -> None:
    try:
        libbpf.prog_detach(fd, interface.index)
    except libbpf.LibbpfError as error:
        if error.number != errno.ENOENT:
            raise
