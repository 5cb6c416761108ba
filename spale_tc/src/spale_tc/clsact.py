# SPDX-License-Identifier: MIT
"""A direct-action filter on the clsact discipline: what kernels before 6.6 have."""

from __future__ import annotations

import errno
import itertools
from typing import TYPE_CHECKING

from spale_bpf import libbpf
from spale_bpf.filters import EGRESS, INGRESS, Filter, all_filters, has_filters
from spale_bpf.ownership import describe
from spale_bpf.watch import NOTHING, Finding
from spale_core.errors import DataplaneError

if TYPE_CHECKING:
    from collections.abc import Container

    from spale_bpf.interface import Interface
    from spale_bpf.takeover import Takeover

PLACE = libbpf.ClsactFilter(priority=1, handle=0x5350)
"""Where our filter is: the first priority, and a handle that nobody gets by counting from 1."""

_BEHIND = libbpf.ClsactFilter(PLACE.priority + 1, PLACE.handle)
"""Where it has to be if the first priority is closed to it: later is better than never."""


def attach(fd: int, interface: Interface, takeover: Takeover) -> bool:
    """Put the program `fd` into our filter; return whether it replaced one of ours there.

    Raise DataplaneError, such as for a foreign filter in our place.
    """
    if _create_discipline(interface):
        takeover.undo_by(_remove_discipline, interface)
    here = next((found for found in all_filters(interface.index) if found.place == PLACE), None)
    if here is None:
        _attach_at(PLACE, fd, interface)
        takeover.undo_by(libbpf.tc_detach, interface.index, PLACE)
        return False
    if not takeover.is_ours(here.program_id):
        raise DataplaneError(
            f"{interface.name}: our place among the TC filters is somebody else's: {_describe(here)};"
            f" remove that first (tc filter show dev {interface.name} ingress)",
        )
    # Held before it is replaced: the filter may be all that keeps it loaded.
    old_fd = takeover.hold(here.program_id)
    libbpf.tc_attach(fd, interface.index, PLACE)
    takeover.undo_by(libbpf.tc_attach, old_fd, interface.index, PLACE)
    return True


def look(interface: Interface, ours: Container[int]) -> Finding | None:
    """Return what packets meet instead of our one filter before all others. Raise DataplaneError."""
    filters = all_filters(interface.index)
    here = [found for found in filters if found.program_id in ours]
    if len(here) == 1 and filters[0] == here[0]:
        return None
    if not filters:
        return Finding(NOTHING, is_there=False)
    if filters[0] in here:
        return Finding("ours twice", is_there=True)
    place = "before ours" if here else "without ours"
    return Finding(f"{_describe(filters[0])} {place}", is_there=bool(here))


def put_first(fd: int, ours: Container[int], interface: Interface) -> None:
    """Put the program `fd` into our filter, before all others, whether it is there or not.

    Within a priority the newest filter is the first, and one that is replaced stays where it is. So ours
    moves by a second one, made before the first goes: at any moment packets meet at least one of the two. If
    the first priority is closed to it, it hangs behind that. Raise DataplaneError.
    """
    _create_discipline(interface)
    try:
        if _taken(interface).get(PLACE) in ours:
            _move(fd, ours, interface)
        _move(fd, ours, interface)
    except DataplaneError:
        if not any(program_id in ours for program_id in _taken(interface).values()):
            libbpf.tc_attach(fd, interface.index, _BEHIND, exclusive=True)
        raise


def _move(fd: int, ours: Container[int], interface: Interface) -> None:
    """Make a filter in the first free place, ours if it is free, and remove what others we have."""
    taken = _taken(interface)
    places = (libbpf.ClsactFilter(PLACE.priority, handle) for handle in itertools.count(PLACE.handle))
    _attach_at(next(place for place in places if place not in taken), fd, interface)
    for place, program_id in taken.items():
        if program_id in ours:
            libbpf.tc_detach(interface.index, place)


def _taken(interface: Interface) -> dict[libbpf.ClsactFilter, int]:
    """Return the ids of the programs in the filters, 0 for other kinds, by place."""
    return {found.place: found.program_id for found in all_filters(interface.index)}


def _attach_at(place: libbpf.ClsactFilter, fd: int, interface: Interface) -> None:
    """Make a filter where there is none. Raise DataplaneError, with the remedy if its priority is closed."""
    try:
        libbpf.tc_attach(fd, interface.index, place, exclusive=True)
    except libbpf.LibbpfError as error:
        closed = [found for found in all_filters(interface.index) if found.place.priority == place.priority]
        if not closed or error.number == errno.EEXIST:
            raise
        raise DataplaneError(
            f"{interface.name}: {_describe(closed[0])} closes priority {place.priority} to our filter;"
            f" give that one another (tc filter show dev {interface.name} ingress): {error.first_line}",
        ) from error


def _describe(found: Filter) -> str:
    what = describe(found.program_id) if found.program_id else f"a {found.kind} filter"
    return f"{what}, priority {found.place.priority} handle {found.place.handle:#x}"


def _create_discipline(interface: Interface) -> bool:
    """Give the interface a clsact discipline; return whether it had none. Raise LibbpfError."""
    try:
        libbpf.tc_hook_create(interface.index)
    except libbpf.LibbpfError as error:
        if error.number != errno.EEXIST:
            raise
        return False
    return True


def _remove_discipline(interface: Interface) -> None:
    """Remove clsact if no filter hangs in it. Only for one that we have just made. Raise DataplaneError."""
    if not any(has_filters(interface.index, end) for end in (INGRESS, EGRESS)):
        libbpf.tc_hook_destroy(interface.index)
