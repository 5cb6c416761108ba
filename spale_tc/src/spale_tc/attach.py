# SPDX-License-Identifier: MIT
"""Enforcement at TC ingress: TCX where the kernel has it, else clsact; never by a link (docs/adr/0041)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from spale_bpf import libbpf
from spale_bpf.dataplane import BpfDataplane, Takeover, detach_everywhere, is_ours, open_object
from spale_core.model import Attachment, AttachMode
from spale_tc import clsact, tcx

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from spale_bpf.interface import Interface
    from spale_core.interfaces import DataplaneSettings

ETHERNET_PROGRAM = "spale_tc_eth"
LAYER3_PROGRAM = "spale_tc_l3"


class TcHook:
    """Hangs one of two programs on an interface: one reads Ethernet headers, one has none to read."""

    def __init__(
        self,
        ethernet_fd: int,
        layer3_fd: int,
        has_tcx: Callable[[Interface], bool],
    ) -> None:
        """Take the descriptors of both programs; `has_tcx` says whether to use TCX on an interface."""
        self._ethernet_fd = ethernet_fd
        self._layer3_fd = layer3_fd
        self._has_tcx = has_tcx

    def attach(self, interface: Interface, takeover: Takeover) -> Attachment:
        """Hang our program there, first; what of ours hangs there, by either way, is gone after that.

        Raise DataplaneError.
        """
        fd = self._ethernet_fd if interface.has_ethernet_header else self._layer3_fd
        if self._has_tcx(interface):
            replaced = tcx.attach(fd, interface, takeover)
            # An older kernel's filter, or the original's: only now that its successor is at work.
            replaced |= clsact.remove(interface, takeover, is_ours)
            return Attachment(interface.name, interface.index, AttachMode.TCX, replaced)
        replaced = clsact.attach(fd, interface, takeover)
        note = "" if clsact.is_first(interface) else "another TC filter runs before ours"
        return Attachment(interface.name, interface.index, AttachMode.CLSACT, replaced, note)

    def detach(self, interface: Interface) -> None:
        """Take off these two programs; another start's is not for us to remove. Raise DataplaneError."""
        own = {libbpf.prog_info(fd).id for fd in (self._ethernet_fd, self._layer3_fd)}
        detach_from(interface, own.__contains__)


def make(
    settings: DataplaneSettings,
    has_tcx: Callable[[Interface], bool] = tcx.supported,
) -> BpfDataplane:
    """Load the TC programs, attached nowhere; TCX where `has_tcx`, else clsact. Raise DataplaneError."""
    loaded = open_object("spale_tc", settings)
    try:
        loaded.load()
        hook = TcHook(loaded.program_fd(ETHERNET_PROGRAM), loaded.program_fd(LAYER3_PROGRAM), has_tcx)
        return BpfDataplane(loaded, settings, hook)
    except BaseException:
        loaded.close()
        raise


def detach(names: Sequence[str] | None) -> list[Attachment]:
    """Remove our TC programs from the named interfaces, or from all. Raise DataplaneError."""
    return detach_everywhere(detach_from, names)


def detach_from(
    interface: Interface,
    chosen: Callable[[int], bool] = is_ours,
) -> Attachment | None:
    """Remove the TC programs whose ids are `chosen` from one interface; return what was there.

    Raise DataplaneError. The clsact discipline stays, even an empty one (docs/adr/0042).
    """
    try:
        with Takeover() as takeover:
            in_chain = tcx.supported(interface) and tcx.remove(interface, takeover, chosen)
            as_filter = clsact.remove(interface, takeover, chosen)
    except libbpf.LibbpfError as error:
        if error.number == errno.ENODEV:
            return None
        raise
    if not in_chain and not as_filter:
        return None
    mode = AttachMode.TCX if in_chain else AttachMode.CLSACT
    return Attachment(interface.name, interface.index, mode)
