# SPDX-License-Identifier: MIT
"""Enforcement by XDP, attached over netlink, never by a link: natively where the driver can, else generic."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from spale_bpf import libbpf
from spale_bpf.dataplane import BpfDataplane, open_object
from spale_bpf.interface import ARPHRD_ETHER
from spale_bpf.ownership import describe
from spale_bpf.programs import find_xdp
from spale_bpf.refusals import by_link
from spale_bpf.removal import XDP_FLAGS, XDP_REPLACE_SINCE, from_xdp, remove_ours
from spale_bpf.takeover import Takeover
from spale_bpf.watch import NOTHING, Finding
from spale_core.errors import DataplaneError
from spale_core.model import Attachment, AttachMode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from spale_bpf.interface import Interface
    from spale_bpf.programs import XdpProgram
    from spale_core.interfaces import DataplaneSettings

PROGRAM = "spale_xdp"

_MODES = {
    "auto": (AttachMode.XDP_NATIVE, AttachMode.XDP_GENERIC),
    "native": (AttachMode.XDP_NATIVE,),
    "generic": (AttachMode.XDP_GENERIC,),
}

_GENERIC_SAFE = (5, 6)
"""Before Linux 5.6 generic XDP lets cloned packets pass unseen."""

_BYPASSED = "generic: kernels before 5.6 let cloned packets bypass it; use tc"

_FINAL = (errno.EPERM, errno.EBUSY, errno.EEXIST, errno.ENODEV)
"""Refusals that another mode would not change."""


class XdpHook:
    """Hangs one program on Ethernet devices."""

    def __init__(self, fd: int, mode: str, kernel: tuple[int, int]) -> None:
        """Take the program's descriptor, XDP_MODE (auto, native or generic), and the kernel's version."""
        self._fd = fd
        self._mode = mode
        self._kernel = kernel
        self.programs = {libbpf.prog_info(fd).id: fd}
        self.program_ids = frozenset(self.programs)

    def attach(self, interface: Interface, takeover: Takeover) -> Attachment:
        """Hang our program there, or replace ours in the mode that it has.

        Raise DataplaneError: not an Ethernet device, a foreign program, a kernel or driver that cannot.
        """
        if interface.hardware_type != ARPHRD_ETHER:
            raise DataplaneError(f"{interface.name} is no Ethernet device, which XDP needs: use tc")
        _refuse(interface, lambda program_id: not takeover.is_ours(program_id))
        ours = find_xdp(interface, takeover.is_ours)
        if ours is None:
            return self._attach_new(interface, takeover)
        return self._replace(interface, ours, takeover)

    def look(self, interface: Interface, mode: AttachMode) -> Finding | None:
        """Return what the device has instead of ours in this mode. Raise LibbpfError."""
        programs = libbpf.xdp_query(interface.index)
        by_mode = {AttachMode.XDP_NATIVE: programs.native, AttachMode.XDP_GENERIC: programs.generic}
        if by_mode[mode] in self.program_ids:
            return None
        words = [f"{describe(number)} {each.value}" for each, number in by_mode.items() if number]
        if programs.offloaded:
            words.append(f"{describe(programs.offloaded)} offloaded")
        return Finding(", ".join(words) or NOTHING, not self.program_ids.isdisjoint(by_mode.values()))

    def put_back(self, interface: Interface, mode: AttachMode) -> Attachment:
        """Hang our program on a device that has none, in the mode that it had if the driver still can.

        Raise DataplaneError: somebody has hung it there in another mode, or a foreign one in its place.
        """
        if find_xdp(interface, self.program_ids.__contains__) is not None:
            raise DataplaneError(
                "another mode cannot be changed without a gap: spale detach, then start anew"
            )
        _refuse(interface, lambda _: True)
        with Takeover() as takeover:
            return self._attach_new(interface, takeover, mode)

    def _replace(self, interface: Interface, old: XdpProgram, takeover: Takeover) -> Attachment:
        """Replace in place: native cannot replace generic, nor the reverse, without a moment of neither."""
        if self._is_bypassed(old.mode):
            raise DataplaneError(f"{interface.name}: {_BYPASSED}, and spale detach for what is there")
        old_fd = takeover.hold(old.program_id)
        flags = XDP_FLAGS[old.mode]
        libbpf.xdp_attach(self._fd, interface.index, flags, self._expecting(old_fd))
        takeover.undo_by(libbpf.xdp_attach, old_fd, interface.index, flags, self._expecting(self._fd))
        kept = f"kept the mode that was found; for XDP_MODE={self._mode} detach first"
        note = "" if old.mode in _MODES[self._mode] else kept
        return Attachment(interface.name, interface.index, old.mode, replaced=True, note=note)

    def _attach_new(
        self, interface: Interface, takeover: Takeover, former: AttachMode | None = None
    ) -> Attachment:
        """Hang our program where none is, in the `former` mode if that is allowed and can be."""
        refusals: list[str] = []
        for mode in sorted(_MODES[self._mode], key=lambda each: each is not former):
            if self._is_bypassed(mode):
                refusals.append(_BYPASSED)
                continue
            flags = XDP_FLAGS[mode] | libbpf.XDP_FLAGS_UPDATE_IF_NOEXIST
            try:
                libbpf.xdp_attach(self._fd, interface.index, flags)
            except libbpf.LibbpfError as error:
                if error.number in _FINAL:
                    raise
                refusals.append(f"{mode.value}: {error.first_line}")
                continue
            takeover.undo_by(libbpf.xdp_detach, interface.index, XDP_FLAGS[mode], self._expecting(self._fd))
            return Attachment(interface.name, interface.index, mode, note="; ".join(refusals))
        raise DataplaneError(f"{interface.name}: no XDP here: {'; '.join(refusals)}")

    def _is_bypassed(self, mode: AttachMode) -> bool:
        return mode is AttachMode.XDP_GENERIC and self._kernel < _GENERIC_SAFE

    def _expecting(self, fd: int) -> int | None:
        return fd if self._kernel >= XDP_REPLACE_SINCE else None


def make(
    settings: DataplaneSettings,
    has_frags: Callable[[], bool] = libbpf.xdp_frags_supported,
) -> BpfDataplane:
    """Load the XDP program, attached nowhere; `has_frags` says whether for frames of several buffers too.

    Raise DataplaneError.
    """
    loaded = open_object(PROGRAM, settings)
    try:
        if has_frags():
            loaded.set_program_flags(PROGRAM, libbpf.XDP_HAS_FRAGS)
        loaded.load()
        hook = XdpHook(loaded.program_fd(PROGRAM), settings.xdp_mode, libbpf.kernel_version())
        return BpfDataplane(loaded, settings, hook)
    except BaseException:
        loaded.close()
        raise


def detach(names: Sequence[str] | None) -> list[Attachment]:
    """Remove our XDP program from the named interfaces, or from all. Raise DataplaneError."""
    return remove_ours((from_xdp,), names)


def _refuse(interface: Interface, foreign: Callable[[int], bool]) -> None:
    """Raise DataplaneError, with the remedy, if the device has a `foreign` program."""
    programs = libbpf.xdp_query(interface.index)
    found = {"xdpdrv": programs.native, "xdpgeneric": programs.generic, "xdpoffload": programs.offloaded}
    for mode, program_id in found.items():
        if program_id and foreign(program_id):
            # A bare `xdp off` leaves a generic program where the driver knows native ones.
            take_off = f"take it off (ip link set dev {interface.name} {mode} off)"
            raise DataplaneError(
                f"{interface.name} has the XDP program {describe(program_id)}, which is not ours;"
                f" {by_link(program_id) or take_off}, or use tc",
            )
