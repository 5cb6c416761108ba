# SPDX-License-Identifier: MIT
"""The TCX ingress chain (Linux 6.6): several programs one after another, ours first."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from spale_bpf import libbpf
from spale_bpf.dataplane import is_ours

if TYPE_CHECKING:
    from collections.abc import Callable

    from spale_bpf.dataplane import Takeover
    from spale_bpf.interface import Interface


def supported(interface: Interface) -> bool:
    """Return whether this kernel has TCX. Raise LibbpfError."""
    try:
        libbpf.prog_query(interface.index)
    except libbpf.LibbpfError as error:
        if error.number == errno.EINVAL:
            return False
        raise
    return True


def attach(fd: int, interface: Interface, takeover: Takeover) -> bool:
    """Make the program `fd` the first of the chain and the only one of ours; return whether one was there.

    One that is first already is replaced in its place. One that others have got in front of is removed after
    the new one is first: at no moment is there none. Raise LibbpfError.
    """
    chain = libbpf.prog_query(interface.index)
    old = {program: takeover.hold(program) for program in chain if is_ours(program)}
    if old and chain[0] in old:
        first = old.pop(chain[0])
        libbpf.prog_attach(fd, interface.index, replace_fd=first)
        takeover.undo_by(libbpf.prog_attach, first, interface.index, fd)
        _take_out(old, interface, takeover)
        return True
    libbpf.prog_attach(fd, interface.index)
    takeover.undo_by(libbpf.prog_detach, fd, interface.index)
    _take_out(old, interface, takeover)
    return bool(old)


def remove(interface: Interface, takeover: Takeover, chosen: Callable[[int], bool]) -> bool:
    """Take the programs whose ids are `chosen` out of the chain; return whether there was one.

    Raise LibbpfError.
    """
    chain = libbpf.prog_query(interface.index)
    found = {program: takeover.hold(program) for program in chain if chosen(program)}
    _take_out(found, interface, takeover)
    return bool(found)


def _take_out(programs: dict[int, int], interface: Interface, takeover: Takeover) -> None:
    for descriptor in programs.values():
        libbpf.prog_detach(descriptor, interface.index)
        takeover.undo_by(libbpf.prog_attach, descriptor, interface.index)
