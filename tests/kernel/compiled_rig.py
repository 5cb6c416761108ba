# SPDX-License-Identifier: MIT
"""The programs as LOADER=bcc has them: compiled here, by bcc, from the same source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coarse import PatientRig
from demanded import lacking
from rig import Rig, build

from spale_bpf.compiled import CompiledObject
from spale_core import bindings

if TYPE_CHECKING:
    from spale_bpf.loadable import Loadable


def demand_bcc() -> None:
    """Skip a test where bcc is not installed; `make venv` installs it."""
    build()
    if bindings.find() is None:
        lacking(bindings.ABSENT)


class CompiledRig(Rig):
    """One entry, compiled."""

    def open(self, file: str) -> Loadable:
        """Compile it, once in a process."""
        return CompiledObject.open(file)


class CompiledCoarseRig(CompiledRig, PatientRig):
    """The same with the clock of the last tick."""
