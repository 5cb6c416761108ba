# SPDX-License-Identifier: MIT
"""What would become of packets at TC ingress."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spale_bpf.rehearsal import Stage
from spale_bpf.rehearsal import rehearse as play
from spale_tc.attach import ETHERNET_PROGRAM, make

if TYPE_CHECKING:
    from spale_core.interfaces import DataplaneSettings
    from spale_core.model import Rehearsal, Rehearsed

_TC_ACT_UNSPEC = 0xFFFFFFFF


def rehearse(settings: DataplaneSettings, rehearsal: Rehearsal) -> list[Rehearsed]:
    """Return what would become of the packets of `rehearsal`. Raise DataplaneError.

    The program for devices without an Ethernet header is another entry into the same policy.
    """
    return play(Stage(make, ETHERNET_PROGRAM, _TC_ACT_UNSPEC), settings, rehearsal)
