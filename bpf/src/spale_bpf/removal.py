# SPDX-License-Identifier: MIT
"""Taking programs off an interface, wherever they hang; which ones is an argument."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from spale_bpf import interface as interfaces
from spale_bpf import libbpf
from spale_bpf.filters import bpf_filters
from spale_bpf.ownership import is_ours
from spale_bpf.programs import find_xdp, has_tcx, program_ids
from spale_bpf.refusals import explained
from spale_bpf.release import announce
from spale_bpf.takeover import Takeover
from spale_core.model import Attachment, AttachMode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from spale_bpf.interface import Interface

    Chosen = Callable[[int], bool]
    Remover = Callable[[Interface, Takeover, Chosen], list[AttachMode]]

XDP_REPLACE_SINCE = (5, 7)
"""Since this Linux, netlink takes the XDP program that is expected to be there (XDP_FLAGS_REPLACE)."""

XDP_FLAGS = {
    AttachMode.XDP_NATIVE: libbpf.XDP_FLAGS_DRV_MODE,
    AttachMode.XDP_GENERIC: libbpf.XDP_FLAGS_SKB_MODE,
}


def from_chain(interface: Interface, takeover: Takeover, chosen: Chosen) -> list[AttachMode]:
    """Take the chosen programs out of the TCX ingress chain; return how each hung. Raise LibbpfError."""
    if not has_tcx(interface):
        return []
    found = [program_id for program_id in libbpf.prog_query(interface.index) if chosen(program_id)]
    for program_id in found:
        descriptor = takeover.hold(program_id)
        libbpf.prog_detach(descriptor, interface.index)
        takeover.undo_by(libbpf.prog_attach, descriptor, interface.index)
    return [AttachMode.TCX] * len(found)


def from_filters(interface: Interface, takeover: Takeover, chosen: Chosen) -> list[AttachMode]:
    """Remove the chosen programs' filters; return how each hung. Raise DataplaneError.

    The clsact discipline stays, even an empty one (docs/adr/0042).
    """
    found = [each for each in bpf_filters(interface.index) if chosen(each.program_id)]
    for each in found:
        descriptor = takeover.hold(each.program_id)
        libbpf.tc_detach(interface.index, each.place)
        takeover.undo_by(libbpf.tc_attach, descriptor, interface.index, each.place)
    return [AttachMode.CLSACT] * len(found)


def from_xdp(interface: Interface, takeover: Takeover, chosen: Chosen) -> list[AttachMode]:
    """Take the chosen program off XDP; return how it hung. Raise LibbpfError."""
    found = find_xdp(interface, chosen)
    if found is None:
        return []
    descriptor = takeover.hold(found.program_id)
    expected = descriptor if libbpf.kernel_version() >= XDP_REPLACE_SINCE else None
    libbpf.xdp_detach(interface.index, XDP_FLAGS[found.mode], expected)
    flags = XDP_FLAGS[found.mode] | libbpf.XDP_FLAGS_UPDATE_IF_NOEXIST
    takeover.undo_by(libbpf.xdp_attach, descriptor, interface.index, flags)
    return [found.mode]


EVERYWHERE: tuple[Remover, ...] = (from_chain, from_filters, from_xdp)


def remove(
    interface: Interface,
    takeover: Takeover,
    chosen: Chosen,
    removers: Iterable[Remover] = EVERYWHERE,
) -> list[AttachMode]:
    """Remove the chosen programs; return how each hung. Raise DataplaneError."""
    return [mode for remover in removers for mode in remover(interface, takeover, chosen)]


def remove_ours(removers: Sequence[Remover], names: Sequence[str] | None) -> list[Attachment]:
    """Remove our programs, whoever attached them, from the named interfaces or, for None, from all.

    A daemon that runs is told, so that it does not put them back. Raise DataplaneError, such as for a name
    that this network namespace does not have.
    """
    chosen = interfaces.find_all() if names is None else [interfaces.find(name) for name in names]
    removed = []
    for interface in chosen:
        modes = remove_if_there(interface, is_ours, removers, announce)
        removed += [Attachment(interface.name, interface.index, mode) for mode in modes]
    return removed


def remove_if_there(
    interface: Interface,
    chosen: Chosen,
    removers: Iterable[Remover] = EVERYWHERE,
    before: Callable[[int], None] = lambda _: None,
    known: Mapping[int, int] | None = None,
) -> list[AttachMode]:
    """Remove the chosen programs, all or none, from an interface that may have gone away meanwhile.

    Call ``before(id)`` for each of them first; `known` are descriptors of some, by id. Return how each hung.
    Raise DataplaneError.
    """
    try:
        for program_id in filter(chosen, program_ids(interface)):
            before(program_id)
        with Takeover(known) as takeover:
            return remove(interface, takeover, chosen, removers)
    except libbpf.LibbpfError as error:
        if error.number == errno.ENODEV:
            return []
        raise explained(error, interface) from error
