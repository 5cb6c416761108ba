# SPDX-License-Identifier: MIT
"""What enforcement at TC finds on this host: the kernel's two ways, and each interface."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from spale_bpf import interface as interfaces
from spale_bpf.examination import (
    MISSING,
    OK,
    SMALL,
    WARNING,
    WORKS,
    Base,
    can_be_hung,
    examine_base,
    tried,
)
from spale_bpf.programs import has_tcx
from spale_bpf.sandbox import LOOPBACK
from spale_core.errors import DataplaneError
from spale_core.model import Finding
from spale_tc.attach import make

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from spale_bpf.dataplane import BpfDataplane
    from spale_core.interfaces import DataplaneSettings

_TCX, _CLSACT = "TCX", "clsact"


def _has_tcx() -> bool:
    return has_tcx(interfaces.find(LOOPBACK))


def _hang(*, by_tcx: bool) -> None:
    """Attach to the interface of an empty namespace, by the one way or the other. Raise DataplaneError."""
    with closing(make(SMALL, lambda _: by_tcx)) as made:
        made.attach([LOOPBACK])


def _hang_tcx() -> None:
    _hang(by_tcx=True)


def _hang_clsact() -> None:
    _hang(by_tcx=False)


class Probes(NamedTuple):
    """What is tried; a test answers otherwise."""

    base: Base = Base()
    load: Callable[[DataplaneSettings], BpfDataplane] = make
    has_tcx: Callable[[], bool] = _has_tcx
    hang_tcx: Callable[[], None] = _hang_tcx
    hang_clsact: Callable[[], None] = _hang_clsact


def examine(names: Sequence[str], probes: Probes | None = None) -> list[Finding]:
    """Return what was found of the host, and of the interfaces of these names."""
    probes = probes or Probes()
    found = examine_base(probes.load, probes.base)
    if can_be_hung(found):
        found += _ways(probes)
    return [*found, *map(_interface, names)]


def _ways(probes: Probes) -> Iterator[Finding]:
    """Yield what works of TCX and clsact; one is enough."""
    chain = _chain(probes)
    yield chain
    qdisc = tried(_CLSACT, probes.hang_clsact)
    if qdisc.state is not MISSING:
        yield qdisc
    elif chain.words == WORKS:
        yield Finding(_CLSACT, OK, f"does not work, and TCX is there: {qdisc.words}")
    else:
        yield Finding(_CLSACT, MISSING, qdisc.words, "modprobe -a sch_ingress cls_bpf")


def _chain(probes: Probes) -> Finding:
    try:
        there = probes.has_tcx()
    except DataplaneError as error:
        return Finding(_TCX, WARNING, str(error))
    if not there:
        return Finding(_TCX, OK, "not in this kernel (6.6 has it): clsact is used")
    return tried(_TCX, probes.hang_tcx)


def _interface(name: str) -> Finding:
    try:
        has_ethernet_header = interfaces.find(name).has_ethernet_header
    except DataplaneError as error:
        return Finding("device", MISSING, str(error), interface=name)
    words = "Ethernet" if has_ethernet_header else "packets without an Ethernet header"
    return Finding("device", OK, f"{words}, which tc reads", interface=name)
