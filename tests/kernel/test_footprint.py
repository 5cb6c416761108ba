# SPDX-License-Identifier: MIT
"""What `spale check` says of kernel memory is what the kernel says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spale_core.config.settings import ClientSettings, Settings
from spale_core.footprint import footprint
from spale_core.interfaces import DataplaneSettings
from spale_core.model import Protocol, Service
from spale_core.plugins import Plugins

pytestmark = pytest.mark.kernel

SSH = frozenset({Service(Protocol.TCP, 22)})


def kernel_bytes() -> int:
    """Return what the kernel charges this process for the maps that it holds."""
    total = 0
    for descriptor in os.listdir("/proc/self/fdinfo"):  # noqa: PTH208 - numbers, not paths
        try:
            lines = Path("/proc/self/fdinfo", descriptor).read_text().splitlines()
        except FileNotFoundError:  # that of the listing itself
            continue
        info = dict(line.split(":", 1) for line in lines if ":" in line)
        if "map_type" in info:
            total += int(info["memlock"])
    return total


@pytest.mark.parametrize(
    ("max_grants", "max_sessions", "max_sources", "auth"),
    [(65536, 65536, 16384, "hpke"), (1000, 5000, 100_000, "hpke"), (1000, 5000, 100_000, "hpke-v1")],
)
def test_kernel_memory_is_estimated_well(max_grants, max_sessions, max_sources, auth):
    """Within a tenth, for the default sizes, for odd ones, and for clients of the other version."""
    clients = tuple(
        ClientSettings(f"c{number}", bytes([number] * 32), SSH, idle_s=60, grace_s=300, max_s=3600, auth=auth)
        for number in range(200)
    )
    sizes = {"max_grants": max_grants, "max_sessions": max_sessions, "max_sources": max_sources}
    settings = Settings(("lo",), 55555, SSH, (Path("key"),), clients, **sizes)
    estimate = footprint(settings)
    before = kernel_bytes()
    dataplane = (
        Plugins(["tc"])
        .dataplane("tc")
        .make(DataplaneSettings(55555, 3, 3, max_tags=estimate.tags, max_v1_tags=estimate.v1_tags, **sizes))
    )
    try:
        used = kernel_bytes() - before
    finally:
        dataplane.close()
    assert estimate.kernel_bytes == pytest.approx(used, rel=0.1)
    assert estimate.addresses == max_grants
