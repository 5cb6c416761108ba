# SPDX-License-Identifier: MIT
"""What would become of packets at XDP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spale_bpf.rehearsal import Stage
from spale_bpf.rehearsal import rehearse as play
from spale_xdp.attach import PROGRAM, make

if TYPE_CHECKING:
    from spale_core.interfaces import DataplaneSettings
    from spale_core.model import Rehearsal, Rehearsed

_XDP_PASS = 2


def rehearse(settings: DataplaneSettings, rehearsal: Rehearsal) -> list[Rehearsed]:
    """Return what would become of the packets of `rehearsal`. Raise DataplaneError."""
    return play(Stage(make, PROGRAM, _XDP_PASS), settings, rehearsal)
