# SPDX-License-Identifier: MIT
"""Real programs of ours, loaded by the real enforcers."""

from __future__ import annotations

import time
from ipaddress import ip_address
from typing import TYPE_CHECKING

import knock
from listeners import PROTECTED, PROTECTED_CLOSED, SPA

import spale_tc.attach
import spale_xdp.attach
from spale_core.interfaces import DataplaneSettings
from spale_core.model import NEVER_NS, Grant, KernelTag, Protocol, Service, Source

if TYPE_CHECKING:
    from spale_bpf.dataplane import BpfDataplane

MINUTE_NS = 60 * 10**9
ENFORCERS = ("tc", "xdp-native", "xdp-generic")
SERVICES = tuple(Service(protocol, port) for protocol in Protocol for port in (PROTECTED, PROTECTED_CLOSED))
SIZES = {"max_grants": 64, "max_sources": 64, "max_tags": 8, "max_sessions": 1024}
SETTINGS = {"spa_port": SPA, "rate": 0, "burst": 1, "session_s": 3600, **SIZES}


def make_dataplane(enforcer: str) -> BpfDataplane:
    """Load one of `ENFORCERS`, or tc-clsact, that protects `SERVICES` and knows one tag; attached nowhere."""
    kind, _, mode = enforcer.partition("-")
    if kind == "tc":
        with_tcx = {"use_tcx": lambda _: False} if mode == "clsact" else {}
        made = spale_tc.attach.make(DataplaneSettings(**SETTINGS), **with_tcx)  # type: ignore[arg-type] # numbers
    else:
        made = spale_xdp.attach.make(DataplaneSettings(**SETTINGS, xdp_mode=mode))  # type: ignore[arg-type] # same
    made.set_services(SERVICES)
    made.set_tags([KernelTag(knock.TAG, knock.MAC_KEY, 0, NEVER_NS)])
    return made


def grant(source: str, protocol: Protocol) -> Grant:
    """Return a grant of a minute to the protected port."""
    service = Service(protocol, PROTECTED)
    return Grant(Source(ip_address(source)), service, time.monotonic_ns(), MINUTE_NS, MINUTE_NS, NEVER_NS)
