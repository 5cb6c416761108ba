# SPDX-License-Identifier: MIT
"""The object files hold nothing that Linux 4.18 does not know, and the verifier has an easy time."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import elf
import pytest
import rig
from machine import Entry
from rig import Rig

from spale_bpf import _abi
from spale_bpf.libbpf import native

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES = ("spale_tc", "spale_xdp")
PROGRAMS = {"spale_tc": {"spale_tc_eth", "spale_tc_l3"}, "spale_xdp": {"spale_xdp"}}

NEWEST_HELPER = 80  # 4.18 ends with bpf_rc_keydown (78), get_current_cgroup_id (80)
NEWEST_MAP = 18  # BPF_MAP_TYPE_SOCKHASH
MOST_INSTRUCTIONS = 4096
MOST_PROCESSED = 100_000

VERIFIED_INSNS = 216  # in struct bpf_prog_info, since 5.16


@pytest.fixture(scope="module", params=FILES)
def built(request: pytest.FixtureRequest) -> elf.Object:
    """Return each object file in turn."""
    rig.build()
    found = elf.Object((rig.OBJECTS / f"{request.param}.bpf.o").read_bytes())
    assert set(found.functions()) == PROGRAMS[request.param]
    return found


@pytest.fixture
def instructions(built: elf.Object) -> list[elf.Instruction]:
    """Return all instructions of an object file."""
    return [instruction for code in built.functions().values() for instruction in code]


def test_no_global_data(built: elf.Object) -> None:
    """There are no global variables and no tables of constants: 4.18 cannot load them."""
    assert not [name for name in built.sections if name.startswith((".rodata", ".data", ".bss"))]


def test_btf_but_no_dwarf(built: elf.Object) -> None:
    """The objects carry BTF, from which libbpf makes the maps, and no debugging information beside it."""
    assert ".BTF" in built.sections
    assert not [name for name in built.sections if name.startswith(".debug")]


def test_licence_is_gpl(built: elf.Object) -> None:
    """The kernel asks for the licence."""
    assert "license" in built.sections


def test_helpers_are_old(instructions: list[elf.Instruction]) -> None:
    """Every helper called is one of 4.18, and no function is called that is not inlined."""
    calls = [instruction for instruction in instructions if instruction.opcode == elf.CALL]
    assert calls
    assert all(call.source != elf.PSEUDO_CALL for call in calls)
    assert max(call.immediate for call in calls) <= NEWEST_HELPER


def test_instructions_are_old(instructions: list[elf.Instruction]) -> None:
    """No 32-bit jumps (5.1), no atomics, no sign-extending loads (6.6)."""
    for instruction in instructions:
        assert instruction.kind != elf.CLASS_JMP32
        if instruction.kind == elf.CLASS_STX:
            assert instruction.opcode & 0xE0 != elf.MODE_ATOMIC
        if instruction.kind == elf.CLASS_LDX:
            assert instruction.opcode & 0xE0 != elf.MODE_SIGNED


def test_no_loops(built: elf.Object) -> None:
    """No path through a program comes back to where it was (allowed since 5.3)."""
    assert not any(elf.has_loop(code) for code in built.functions().values())


def test_length(built: elf.Object) -> None:
    """A program has fewer instructions than kernels before 5.2 take."""
    for code in built.functions().values():
        words = sum(2 if instruction.opcode == elf.WIDE else 1 for instruction in code)
        assert words < MOST_INSTRUCTIONS


def test_maps_are_old() -> None:
    """Every map is of a kind that 4.18 has."""
    assert max(shape.kind for shape in _abi.MAPS.values()) <= NEWEST_MAP


@pytest.fixture(scope="module", params=list(Entry), ids=lambda entry: entry.name.lower())
def loaded(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """Return each program in turn, loaded."""
    with Rig(request.param) as made:
        yield made


@pytest.mark.kernel
def test_verifier_processes_little(loaded: Rig) -> None:
    """The verifier follows far fewer instructions than the 131,072 at which old kernels give up."""
    info = (ctypes.c_uint8 * 256)()
    length = ctypes.c_uint32(ctypes.sizeof(info))
    native.call("information", "bpf_obj_get_info_by_fd", loaded.fd, ctypes.byref(info), ctypes.byref(length))
    if length.value <= VERIFIED_INSNS:
        pytest.skip("this kernel does not tell how much it processed")
    processed = int.from_bytes(bytes(info)[VERIFIED_INSNS : VERIFIED_INSNS + 4], "little")
    assert 0 < processed < MOST_PROCESSED
