# SPDX-License-Identifier: MIT
"""Enforcement at TC ingress: TCX where the kernel has it, else clsact; never by a link (docs/adr/0041)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spale_bpf import libbpf
from spale_bpf.dataplane import BpfDataplane, open_object
from spale_bpf.programs import has_tcx
from spale_bpf.removal import from_chain, from_filters, remove_ours
from spale_core.model import Attachment, AttachMode
from spale_tc import clsact, tcx
from spale_tc.twins import Twins

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from spale_bpf.interface import Interface
    from spale_bpf.loadable import Loadable
    from spale_bpf.takeover import Takeover
    from spale_bpf.watch import Finding
    from spale_core.interfaces import DataplaneSettings

ETHERNET_PROGRAM = "spale_tc_eth"
LAYER3_PROGRAM = "spale_tc_l3"


class TcHook:
    """Hangs one of two programs on an interface: one reads Ethernet headers, one has none to read."""

    def __init__(self, ethernet: Twins, layer3: Twins, use_tcx: Callable[[Interface], bool]) -> None:
        """Take both programs; `use_tcx` decides between TCX and clsact."""
        self._ethernet = ethernet
        self._layer3 = layer3
        self._use_tcx = use_tcx

    @property
    def program_ids(self) -> frozenset[int]:
        """Return the programs that it may hang there."""
        return self._ethernet.ids | self._layer3.ids

    @property
    def programs(self) -> dict[int, int]:
        """Return their descriptors, by id."""
        return self._ethernet.fds | self._layer3.fds

    def attach(self, interface: Interface, takeover: Takeover) -> Attachment:
        """Hang the right program there, before all others where that can be had. Raise DataplaneError."""
        program = self._program(interface)
        fd = program.first_fd
        if self._use_tcx(interface):
            if program.ids.isdisjoint(libbpf.prog_query(interface.index)):
                replaced = tcx.attach(fd, interface, takeover)
            else:
                # It has come along with an interface that was in another namespace meanwhile.
                replaced = True
                tcx.put_first(program, interface)
            return Attachment(interface.name, interface.index, AttachMode.TCX, replaced)
        replaced = clsact.attach(fd, interface, takeover)
        if clsact.look(interface, self.program_ids) is not None:
            clsact.put_first(fd, self.program_ids, interface)
        return Attachment(interface.name, interface.index, AttachMode.CLSACT, replaced)

    def look(self, interface: Interface, mode: AttachMode) -> Finding | None:
        """Return what packets meet instead of ours, once, before all others. Raise DataplaneError."""
        if mode is AttachMode.TCX:
            return tcx.look(interface, self.program_ids)
        return clsact.look(interface, self.program_ids)

    def put_back(self, interface: Interface, mode: AttachMode) -> Attachment:
        """Put the right program before all others, whether it hangs there or not. Raise DataplaneError."""
        program = self._program(interface)
        if mode is AttachMode.TCX:
            tcx.put_first(program, interface)
        else:
            clsact.put_first(program.first_fd, program.ids, interface)
        return Attachment(interface.name, interface.index, mode)

    def _program(self, interface: Interface) -> Twins:
        return self._ethernet if interface.has_ethernet_header else self._layer3


def make(
    settings: DataplaneSettings,
    use_tcx: Callable[[Interface], bool] = has_tcx,
) -> BpfDataplane:
    """Load the TC programs, attached nowhere; TCX where `use_tcx`, else clsact. Raise DataplaneError."""
    loaded = open_object("spale_tc", settings)
    try:
        loaded.load()
        ethernet, layer3 = (_twins(loaded, name) for name in (ETHERNET_PROGRAM, LAYER3_PROGRAM))
        hook = TcHook(ethernet, layer3, use_tcx)
        return BpfDataplane(loaded, settings, hook)
    except BaseException:
        loaded.close()
        raise


def _twins(loaded: Loadable, name: str) -> Twins:
    return Twins(loaded.program_fd(name), lambda: loaded.load_twin(name))


def detach(names: Sequence[str] | None) -> list[Attachment]:
    """Remove our TC programs from the named interfaces, or from all. Raise DataplaneError."""
    return remove_ours((from_chain, from_filters), names)
