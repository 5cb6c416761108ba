# SPDX-License-Identifier: MIT
"""The TCX ingress chain (Linux 6.6): several programs one after another, ours first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spale_bpf import libbpf
from spale_bpf.ownership import is_ours

if TYPE_CHECKING:
    from spale_bpf.interface import Interface
    from spale_bpf.takeover import Takeover


def attach(fd: int, interface: Interface, takeover: Takeover) -> bool:
    """Make the program `fd` the first of the chain; return whether it replaced one of ours in that place.

    Where others have got in front of ours, the new one goes before them, and the old one is still there.
    Raise LibbpfError.
    """
    chain = libbpf.prog_query(interface.index)
    if chain and is_ours(chain[0]):
        first = takeover.hold(chain[0])
        libbpf.prog_attach(fd, interface.index, replace_fd=first)
        takeover.undo_by(libbpf.prog_attach, first, interface.index, fd)
        return True
    libbpf.prog_attach(fd, interface.index)
    takeover.undo_by(libbpf.prog_detach, fd, interface.index)
    return False
