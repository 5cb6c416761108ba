# SPDX-License-Identifier: MIT
"""What enforcement at XDP finds on this host, and on each interface: native, generic, or neither."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, NamedTuple

from spale_bpf import interface as interfaces
from spale_bpf import libbpf
from spale_bpf.examination import MISSING, OK, WARNING, Base, can_be_hung, examine_base, tried
from spale_bpf.netdev import native_xdp
from spale_bpf.ownership import describe, is_ours
from spale_bpf.sandbox import LOOPBACK
from spale_core.errors import DataplaneError
from spale_core.model import Finding
from spale_xdp.attach import make

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from spale_bpf.dataplane import BpfDataplane
    from spale_bpf.interface import Interface
    from spale_core.interfaces import DataplaneSettings

_NATIVE, _GENERIC = "XDP native", "XDP generic"
_GENERIC_SAFE = (5, 6)
"""Before Linux 5.6 generic XDP lets cloned packets pass unseen."""
_USE_TC = "spale run --dataplane tc"


def _hang_generic() -> None:
    """Hang a program on the interface of an empty namespace. Raise LibbpfError."""
    fd = libbpf.load_xdp_pass()
    try:
        libbpf.xdp_attach(fd, socket.if_nametoindex(LOOPBACK), libbpf.XDP_FLAGS_SKB_MODE)
    finally:
        os.close(fd)


class Probes(NamedTuple):
    """What is tried; a test answers otherwise."""

    base: Base = Base()
    load: Callable[[DataplaneSettings], BpfDataplane] = make
    hang_generic: Callable[[], None] = _hang_generic
    native: Callable[[], Mapping[int, bool] | None] = native_xdp


def examine(names: Sequence[str], probes: Probes | None = None) -> list[Finding]:
    """Return what was found of the host, and of the interfaces of these names."""
    probes = probes or Probes()
    found = examine_base(probes.load, probes.base)
    if not can_be_hung(found):
        return found
    generic = _generic(probes)
    found.append(generic)
    native = probes.native()
    for name in names:
        found += _interface(name, native, generic)
    return found


def _generic(probes: Probes) -> Finding:
    if probes.base.kernel() < _GENERIC_SAFE:
        words = "not used before Linux 5.6: cloned packets bypass it"
        return Finding(_GENERIC, WARNING, words, _USE_TC)
    found = tried(_GENERIC, probes.hang_generic)
    # A driver that can do native needs no generic.
    return found if found.state is not MISSING else Finding(_GENERIC, WARNING, found.words, _USE_TC)


def _interface(name: str, native: Mapping[int, bool] | None, generic: Finding) -> Iterator[Finding]:
    """Yield whether the driver can do native, whether generic can be used there, and whether it is free."""
    try:
        interface = interfaces.find(name)
        foreign = _foreign(interface)
    except DataplaneError as error:
        yield Finding("device", MISSING, str(error), interface=name)
        return
    if interface.hardware_type != interfaces.ARPHRD_ETHER:
        yield Finding("device", MISSING, "no Ethernet device, which XDP needs", _USE_TC, name)
        return
    if foreign:
        program_id, mode = foreign
        words = f"has the XDP program {describe(program_id)}, which is not ours; a device holds one"
        yield Finding("device", MISSING, words, f"ip link set dev {name} {mode} off", name)
    has_generic = generic.state is OK
    if native is None:
        yield Finding(_NATIVE, OK, "not known: kernels before 6.3 do not tell", interface=name)
    elif native.get(interface.index):
        yield Finding(_NATIVE, OK, "the driver can", interface=name)
    elif has_generic:
        words = "the driver cannot; generic works, and costs more in a flood"
        yield Finding(_NATIVE, WARNING, words, interface=name)
    else:
        yield Finding(_NATIVE, MISSING, "the driver cannot, nor is there generic", _USE_TC, name)
    if has_generic:
        yield Finding(_GENERIC, OK, "can be used", interface=name)


def _foreign(interface: Interface) -> tuple[int, str] | None:
    """Return a program of others that hangs there, and ip's word for how; else None. Raise LibbpfError."""
    programs = libbpf.xdp_query(interface.index)
    hanging = {"xdpdrv": programs.native, "xdpgeneric": programs.generic, "xdpoffload": programs.offloaded}
    return next(((each, mode) for mode, each in hanging.items() if each and not is_ours(each)), None)
