# SPDX-License-Identifier: MIT
"""Which programs hang on an interface's ingress, by whatever means, whosever they are."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from attrs import frozen

from spale_bpf import libbpf
from spale_bpf.filters import bpf_filters
from spale_core.model import AttachMode

if TYPE_CHECKING:
    from collections.abc import Callable

    from spale_bpf.interface import Interface


@frozen
class XdpProgram:
    """A program that hangs on an interface by XDP."""

    program_id: int
    mode: AttachMode


def program_ids(interface: Interface) -> list[int]:
    """Return the ids of all. Raise DataplaneError."""
    chain = libbpf.prog_query(interface.index) if has_tcx(interface) else ()
    filters = (found.program_id for found in bpf_filters(interface.index))
    xdp = libbpf.xdp_query(interface.index)
    return [each for each in (*chain, *filters, xdp.native, xdp.generic, xdp.offloaded) if each]


def has_tcx(interface: Interface) -> bool:
    """Return whether this kernel has TCX. Raise LibbpfError."""
    try:
        libbpf.prog_query(interface.index)
    except libbpf.LibbpfError as error:
        if error.number == errno.EINVAL:
            return False
        raise
    return True


def find_xdp(interface: Interface, chosen: Callable[[int], bool]) -> XdpProgram | None:
    """Return the XDP program whose id is `chosen`, if it is there. Raise LibbpfError."""
    programs = libbpf.xdp_query(interface.index)
    modes = ((programs.native, AttachMode.XDP_NATIVE), (programs.generic, AttachMode.XDP_GENERIC))
    for program_id, mode in modes:
        if program_id and chosen(program_id):
            return XdpProgram(program_id, mode)
    return None
