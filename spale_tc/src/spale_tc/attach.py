# SPDX-License-Identifier: MIT
"""Enforcement at TC ingress: TCX where the kernel has it, else clsact; never by a link (docs/adr/0041)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spale_bpf import libbpf
from spale_bpf.dataplane import BpfDataplane, open_object
from spale_bpf.removal import from_chain, from_filters, has_tcx, remove_ours
from spale_core.model import Attachment, AttachMode
from spale_tc import clsact, tcx

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from spale_bpf.interface import Interface
    from spale_bpf.takeover import Takeover
    from spale_core.interfaces import DataplaneSettings

ETHERNET_PROGRAM = "spale_tc_eth"
LAYER3_PROGRAM = "spale_tc_l3"


class TcHook:
    """Hangs one of two programs on an interface: one reads Ethernet headers, one has none to read."""

    def __init__(
        self,
        ethernet_fd: int,
        layer3_fd: int,
        use_tcx: Callable[[Interface], bool],
    ) -> None:
        """Take the descriptors of both programs; `use_tcx` decides between TCX and clsact."""
        self._ethernet_fd = ethernet_fd
        self._layer3_fd = layer3_fd
        self._use_tcx = use_tcx
        self.program_ids = frozenset(libbpf.prog_info(fd).id for fd in (ethernet_fd, layer3_fd))

    def attach(self, interface: Interface, takeover: Takeover) -> Attachment:
        """Hang the right program there, before all others where that can be had. Raise DataplaneError."""
        fd = self._ethernet_fd if interface.has_ethernet_header else self._layer3_fd
        if self._use_tcx(interface):
            replaced = tcx.attach(fd, interface, takeover)
            return Attachment(interface.name, interface.index, AttachMode.TCX, replaced)
        replaced = clsact.attach(fd, interface, takeover)
        note = "" if clsact.is_first(interface) else "another TC filter runs before ours"
        return Attachment(interface.name, interface.index, AttachMode.CLSACT, replaced, note)


def make(
    settings: DataplaneSettings,
    use_tcx: Callable[[Interface], bool] = has_tcx,
) -> BpfDataplane:
    """Load the TC programs, attached nowhere; TCX where `use_tcx`, else clsact. Raise DataplaneError."""
    loaded = open_object("spale_tc", settings)
    try:
        loaded.load()
        hook = TcHook(loaded.program_fd(ETHERNET_PROGRAM), loaded.program_fd(LAYER3_PROGRAM), use_tcx)
        return BpfDataplane(loaded, settings, hook)
    except BaseException:
        loaded.close()
        raise


def detach(names: Sequence[str] | None) -> list[Attachment]:
    """Remove our TC programs from the named interfaces, or from all. Raise DataplaneError."""
    return remove_ours((from_chain, from_filters), names)
