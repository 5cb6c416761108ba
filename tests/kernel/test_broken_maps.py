# SPDX-License-Identifier: MIT
"""Where a map is not what it should be the programs drop: nothing opens by accident."""

from __future__ import annotations

import ctypes

import knock
import packets as p
import pytest
import rows_spa
import table
from machine import NO_FLAGS, Entry, index
from packets import SYN
from rig import Rig
from table import OPEN_PORT, TCP_PORT

from spale_bpf import libbpf
from spale_bpf._abi import Flag, Reason
from spale_bpf.libbpf import native

pytestmark = pytest.mark.kernel

HASH = 1


class Broken(Rig):
    """A program whose settings can be missing, and whose memory of macs does not forget."""

    def alter(self, loading: libbpf.Object) -> None:
        """Make hash maps of what should be an array and an LRU."""
        set_type = native.library().bpf_map__set_type
        set_type.argtypes = (ctypes.c_void_p, ctypes.c_int)
        for name in ("spale_settings", "spale_seen_macs"):
            assert set_type(loading._map(name), HASH) == 0
        loading.set_max_entries("spale_seen_macs", 1)


@pytest.fixture(params=list(Entry), ids=lambda entry: entry.name.lower())
def broken(request: pytest.FixtureRequest) -> Broken:
    """Return each program in turn, loaded with wrong maps."""
    with Broken(request.param) as made:
        table.prepare(made)
        yield made


@pytest.mark.parametrize("flags", [NO_FLAGS, Flag.LOG_ONLY])
@pytest.mark.parametrize("family", table.FAMILIES)
def test_without_settings_protected_ports_are_shut(broken: Broken, family: int, flags: Flag) -> None:
    """Without settings a packet to a protected port is dropped, as INTERNAL; others are not ours."""
    broken.flags = flags
    table.granted(p.TCP, TCP_PORT, table.live)(broken)
    libbpf.map_delete(broken.object.map_fd("spale_settings"), index(0))
    outcome = broken.run(table.frame(family, p.tcp(TCP_PORT, SYN), p.TCP))
    assert outcome == (False, {Reason.INTERNAL: bytes(16)})
    assert broken.run(table.frame(family, p.tcp(OPEN_PORT, SYN), p.TCP)) == (True, {})


@pytest.mark.parametrize("family", table.FAMILIES)
def test_a_mac_that_cannot_be_remembered_does_not_pass(broken: Broken, family: int) -> None:
    """Where the memory of macs refuses an entry the knock is dropped, as INTERNAL."""
    assert broken.run(rows_spa.spa(family)).passed
    outcome = broken.run(rows_spa.spa(family, rows_spa.fresh(1)))
    assert not outcome.passed
    assert tuple(outcome.counted) == (Reason.INTERNAL,)
    assert tuple(broken.run(rows_spa.spa(family, knock.knock())).counted) == (Reason.REPLAY,)
