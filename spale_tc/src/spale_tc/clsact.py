# SPDX-License-Identifier: MIT
"""A direct-action filter on the clsact discipline: what kernels before 6.6 have."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from spale_bpf import libbpf
from spale_bpf.filters import EGRESS, INGRESS, bpf_filters, first_place
from spale_bpf.ownership import is_ours
from spale_core.errors import DataplaneError

if TYPE_CHECKING:
    from spale_bpf.interface import Interface
    from spale_bpf.takeover import Takeover

PLACE = libbpf.ClsactFilter(priority=1, handle=0x5350)
"""Where our filter is, always: the first priority, and a handle that nobody gets by counting from 1."""


def attach(fd: int, interface: Interface, takeover: Takeover) -> bool:
    """Put the program `fd` into our filter; return whether it replaced one of ours there.

    Raise DataplaneError, such as for a foreign filter in our place.
    """
    _create_discipline(interface, takeover)
    here = next((found for found in bpf_filters(interface.index) if found.place == PLACE), None)
    if here is None:
        libbpf.tc_attach(fd, interface.index, PLACE)
        takeover.undo_by(libbpf.tc_detach, interface.index, PLACE)
        return False
    if not is_ours(here.program_id):
        raise DataplaneError(
            f"{interface.name}: the TC filter with priority {PLACE.priority} and handle {PLACE.handle:#x} is"
            f" somebody else's ({here.name}, program {here.program_id}); remove it first",
        )
    # Held before it is replaced: the filter may be all that keeps it loaded.
    old_fd = takeover.hold(here.program_id)
    libbpf.tc_attach(fd, interface.index, PLACE)
    takeover.undo_by(libbpf.tc_attach, old_fd, interface.index, PLACE)
    return True


def _remove_discipline(interface: Interface) -> None:
    """Remove clsact if no filter hangs in it. Only for one that we have just made. Raise DataplaneError."""
    if all(first_place(interface.index, end) is None for end in (INGRESS, EGRESS)):
        libbpf.tc_hook_destroy(interface.index)


def is_first(interface: Interface) -> bool:
    """Return whether packets meet our filter before every other. Raise DataplaneError."""
    return first_place(interface.index) == PLACE


def _create_discipline(interface: Interface, takeover: Takeover) -> None:
    try:
        libbpf.tc_hook_create(interface.index)
    except libbpf.LibbpfError as error:
        if error.number != errno.EEXIST:
            raise
    else:
        takeover.undo_by(_remove_discipline, interface)
