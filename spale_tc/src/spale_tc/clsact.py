# SPDX-License-Identifier: MIT
"""A direct-action filter on the clsact discipline: what kernels before 6.6 have."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from spale_bpf import libbpf
from spale_bpf.dataplane import is_ours
from spale_core.errors import DataplaneError
from spale_tc.filters import EGRESS, INGRESS, Filter, bpf_filters, first_place

if TYPE_CHECKING:
    from collections.abc import Callable

    from spale_bpf.dataplane import Takeover
    from spale_bpf.interface import Interface

PLACE = libbpf.ClsactFilter(priority=1, handle=0x5350)
"""Where our filter is, always: the first priority, and a handle that nobody gets by counting from 1."""


def attach(fd: int, interface: Interface, takeover: Takeover) -> bool:
    """Put the program `fd` into our filter, and remove filters of the original; return whether one was there.

    At no moment is there none. Raise DataplaneError, such as for a foreign filter in our place.
    """
    _create_discipline(interface, takeover)
    filters = bpf_filters(interface.index)
    ours = [found for found in filters if is_ours(found.program_id)]
    here = next((found for found in filters if found.place == PLACE), None)
    if here is not None and here not in ours:
        raise DataplaneError(
            f"{interface.name}: the TC filter with priority {PLACE.priority} and handle {PLACE.handle:#x} is"
            f" somebody else's ({here.name}, program {here.program_id}); remove it first",
        )
    # Held before it is replaced: the filter may be all that keeps it loaded.
    old_fd = takeover.hold(here.program_id) if here else None
    libbpf.tc_attach(fd, interface.index, PLACE)
    if old_fd is None:
        takeover.undo_by(libbpf.tc_detach, interface.index, PLACE)
    else:
        takeover.undo_by(libbpf.tc_attach, old_fd, interface.index, PLACE)
    _remove([found for found in ours if found is not here], interface, takeover)
    return bool(ours)


def remove(interface: Interface, takeover: Takeover, chosen: Callable[[int], bool]) -> bool:
    """Remove the filters whose programs' ids are `chosen`; return whether there was one.

    Raise DataplaneError.
    """
    found = [each for each in bpf_filters(interface.index) if chosen(each.program_id)]
    _remove(found, interface, takeover)
    return bool(found)


def remove_discipline(interface: Interface) -> None:
    """Remove clsact if no filter hangs in it. Only for one that we have made. Raise DataplaneError."""
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
        takeover.undo_by(remove_discipline, interface)


def _remove(filters: list[Filter], interface: Interface, takeover: Takeover) -> None:
    for found in filters:
        descriptor = takeover.hold(found.program_id)
        libbpf.tc_detach(interface.index, found.place)
        takeover.undo_by(libbpf.tc_attach, descriptor, interface.index, found.place)
