# SPDX-License-Identifier: MIT
"""Real programs of ours, loaded by the real enforcers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import knock
from listeners import PROTECTED, PROTECTED_CLOSED, SPA

import spale_tc.attach
import spale_xdp.attach
from spale_core.interfaces import DataplaneSettings
from spale_core.model import NEVER_NS, KernelTag, Protocol, Service

if TYPE_CHECKING:
    from spale_bpf.dataplane import BpfDataplane

ENFORCERS = ("tc", "xdp-native", "xdp-generic")
SERVICES = tuple(Service(protocol, port) for protocol in Protocol for port in (PROTECTED, PROTECTED_CLOSED))
SETTINGS = {"spa_port": SPA, "rate": 0, "burst": 1, "max_grants": 64, "max_sources": 64, "max_tags": 8}


def make_dataplane(enforcer: str) -> BpfDataplane:
    """Load one that protects `SERVICES` and knows one tag; it is attached nowhere."""
    kind, _, mode = enforcer.partition("-")
    make = spale_tc.attach.make if kind == "tc" else spale_xdp.attach.make
    made = make(DataplaneSettings(**SETTINGS, xdp_mode=mode or "auto"))  # type: ignore[arg-type] # numbers
    made.set_services(SERVICES)
    made.set_tags([KernelTag(knock.TAG, knock.MAC_KEY, 0, NEVER_NS)])
    return made
