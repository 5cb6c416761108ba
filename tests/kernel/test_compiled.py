# SPDX-License-Identifier: MIT
"""LOADER=bcc: what bcc compiles here judges as what was compiled beforehand does."""

from __future__ import annotations

import errno
import os

import elf
import pytest
import table
from compiled_rig import CompiledCoarseRig, CompiledRig, demand_bcc
from lab import settings
from machine import Entry
from test_coarse_objects import ROWS as ROWS_OF_CLOCKS
from test_packet_table import ROWS

from spale_bpf import _abi, libbpf
from spale_bpf.compiled import CompiledObject, linked
from spale_bpf.compiler import PROGRAMS, compiled
from spale_bpf.dataplane import open_object
from spale_core.errors import DataplaneError

OBJECTS = [name + suffix for name in PROGRAMS for suffix in ("", "_coarse")]
OLDEST_LONGEST = 4096
"""So many instructions a program may have before Linux 5.2."""
SAMPLE = 12
"""Ticks take time: every twelfth row is played with them."""


@pytest.fixture(autouse=True)
def _bcc() -> None:
    demand_bcc()


@pytest.mark.kernel
@pytest.mark.parametrize("entry", Entry, ids=lambda entry: entry.name.lower())
def test_the_packet_table(entry: Entry) -> None:
    """Every packet of the table meets the verdict and the reason of its row."""
    with CompiledRig(entry) as loaded:
        for row in ROWS:
            if entry in row.how and loaded.builds(row.frame):
                table.check(row, loaded)


@pytest.mark.kernel
@pytest.mark.parametrize("entry", [Entry.TC_ETH, Entry.XDP], ids=lambda entry: entry.name.lower())
def test_the_clock_of_the_last_tick(entry: Entry) -> None:
    """So do some of those that the clock matters to, where the kernel has the other one."""
    if not libbpf.coarse_clock_supported():
        pytest.skip("bpf_ktime_get_coarse_ns is new in Linux 5.11")
    rows = [row for _, _, found in ROWS_OF_CLOCKS.values() for row in found][::SAMPLE]
    with CompiledCoarseRig(entry) as loaded:
        for row in rows:
            if "ipv6" not in row.name and entry in row.how and loaded.builds(row.frame):
                table.check(row, loaded)


@pytest.mark.parametrize("name", OBJECTS)
def test_instructions(name: str) -> None:
    """No loop, nothing newer than Linux 4.18 but the clock, and short enough for it."""
    for code in map(elf.decoded, compiled(name).values()):
        kinds = {each.kind for each in code}
        assert elf.CLASS_JMP32 not in kinds
        assert not elf.has_loop(code)
        assert len(code) < OLDEST_LONGEST
        helpers = {each.immediate for each in code if each.opcode == elf.CALL}
        assert (160 in helpers) == name.endswith("_coarse")
        assert max(helpers - {160}) <= 39


@pytest.mark.kernel
@pytest.mark.parametrize("name", PROGRAMS)
def test_maps_are_the_same(name: str) -> None:
    """Names and sizes are as with an object file: the one daemon finds what the other left."""
    for loader in ("libbpf", "bcc"):
        with open_object(name, settings(loader=loader)) as loaded:
            loaded.load()
            for map_name, shape in _abi.MAPS.items():
                found = libbpf.map_info(loaded.map_fd(map_name))
                assert found == libbpf.MapInfo(map_name[:15], shape.key_size, shape.value_size)
            for program, fd in loaded.program_fds().items():
                assert libbpf.prog_info(fd).name == program[:15]


@pytest.mark.kernel
def test_nothing_is_left_behind() -> None:
    """Closed, and refused by the kernel, it holds no descriptor; before it is loaded it has none to give."""
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - numbers, not paths
    with open_object("spale_tc", settings(loader="bcc")) as loaded:
        with pytest.raises(DataplaneError, match="used before load"):
            loaded.map_fd("spale_grants")
        loaded.load()
        loaded.load_twin("spale_tc_l3")
        with pytest.raises(DataplaneError, match="has no spale_nothing"):
            loaded.map_fd("spale_nothing")
    broken = CompiledObject("spale_xdp", {"spale_xdp": bytes(8)})
    with pytest.raises(libbpf.LibbpfError, match="spale_xdp: the kernel refuses to load it") as refused:
        broken.load()
    assert refused.value.number == errno.EINVAL
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - the same


def test_maps_take_the_place_of_their_numbers() -> None:
    """Where a map is meant, and nowhere else: not in a constant that looks like one."""
    wide = b"\x18\x11\0\0\x02\0\0\0" + bytes(8)
    constant = b"\x18\x01\0\0\x02\0\0\0" + b"\x18\x11\0\0\x02\0\0\0"
    assert linked(constant + wide, {2: 77}) == constant + b"\x18\x11\0\0\x4d\0\0\0" + bytes(8)
    with pytest.raises(DataplaneError, match="bcc cannot compile: the answer names map 2, which is none"):
        linked(wide, {1: 77})
