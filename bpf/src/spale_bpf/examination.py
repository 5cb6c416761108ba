# SPDX-License-Identifier: MIT
"""What every dataplane of ours needs of this host; each by trying it (docs/adr/0091)."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import evolve, frozen

from spale_bpf import libbpf
from spale_bpf.sandbox import in_new_namespace
from spale_core import bindings
from spale_core.errors import DataplaneError
from spale_core.interfaces import DataplaneSettings
from spale_core.model import Finding, FindingState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from spale_bpf.dataplane import BpfDataplane

OK, WARNING, MISSING = FindingState.OK, FindingState.WARNING, FindingState.MISSING

WORKS: Final = "works"
"""What is said of a trial that succeeded."""

_AS_ROOT: Final = "sudo spale doctor"

SMALL: Final = DataplaneSettings(spa_port=1, rate=0, burst=1, max_grants=1, max_sources=64, max_tags=1)
"""Settings for a program that is loaded to see whether it can be."""

_OLDEST = (4, 18)


@frozen
class Base:
    """What is asked of kernel and libraries; a test answers otherwise."""

    kernel: Callable[[], tuple[int, int]] = libbpf.kernel_version
    library: Callable[[], str] = libbpf.library_version
    root: Path = Path("/")


def examine_base(load: Callable[[DataplaneSettings], BpfDataplane], base: Base) -> list[Finding]:
    """Return what was found of kernel, libbpf and bcc, and whether ``load(settings)`` works."""
    program = _program(load)
    return [_kernel(base), _library(base), program, _bcc(load if program.state is OK else None, base)]


def can_be_hung(found: Sequence[Finding]) -> bool:
    """Return whether the program can be loaded at all, so that more can be tried."""
    return all(each.state is not MISSING for each in found)


def _kernel(base: Base) -> Finding:
    version = base.kernel()
    words = ".".join(map(str, version))
    if version < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        return Finding("kernel", MISSING, f"Linux {words}; the programs need {oldest} or newer")
    return Finding("kernel", OK, f"Linux {words}")


def _library(base: Base) -> Finding:
    try:
        return Finding("libbpf", OK, f"version {base.library()}")
    except DataplaneError as error:
        return Finding("libbpf", MISSING, str(error), "apt install libbpf1")


def _bcc(load: Callable[[DataplaneSettings], BpfDataplane] | None, base: Base) -> Finding:
    """Return whether LOADER=bcc works: the program is compiled, and the kernel takes it.

    Where ``load(settings)`` of what was compiled beforehand fails it is None, and nothing is tried.
    """
    found = bindings.find(base.root)
    if found is None:
        words = f"not installed ({bindings.REMEDY}); only LOADER=bcc needs it"
        return Finding("bcc", OK, words, bindings.REMEDY)
    version = f"version {found.version}, in {found.folder}"
    if load is None:
        return Finding("bcc", OK, version)
    try:
        load(evolve(SMALL, loader="bcc")).close()
    except DataplaneError as error:
        words, _, _ = str(error).partition("\n")
        return Finding("bcc", WARNING, f"{version}; LOADER=bcc does not work: {words}", _remedy(error))
    return Finding("bcc", OK, f"{version}; LOADER=bcc works")


def _program(load: Callable[[DataplaneSettings], BpfDataplane]) -> Finding:
    try:
        load(SMALL).close()
    except DataplaneError as error:
        words, _, _ = str(error).partition("\n")
        return Finding("program", MISSING, words, _remedy(error))
    return Finding("program", OK, "the kernel takes it")


def tried(subject: str, trial: Callable[[], None]) -> Finding:
    """Return whether ``trial()`` works in a network namespace of its own."""
    try:
        in_new_namespace(trial)
    except DataplaneError as error:
        words, _, _ = str(error).partition("\n")
        remedy = _remedy(error)
        return Finding(subject, WARNING if remedy else MISSING, words, remedy)
    return Finding(subject, OK, WORKS)


def _remedy(error: DataplaneError) -> str | None:
    """Return what helps against a lack of privileges; None if that was not it."""
    return _AS_ROOT if isinstance(error, libbpf.LibbpfError) and error.number == errno.EPERM else None
