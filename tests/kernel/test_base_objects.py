# SPDX-License-Identifier: MIT
"""The base objects load where spec.md says they do: on Linux 4.18's terms, and with three capabilities.

What their instructions may be is in test_objects.py; this is what is said around them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys

import elf
import pytest
import rig

from spale_bpf import _abi

FILES = ("spale_tc", "spale_xdp")
SECTIONS = {"spale_tc": {"tc"}, "spale_xdp": {"xdp"}}

KINDS = {"ARRAY": 2, "HASH": 1, "PERCPU_ARRAY": 6, "LRU_HASH": 9, "LPM_TRIE": 11}
"""The kinds of maps that design.md chose, all of them in 4.18."""

OLD_MAP_FLAGS = 0x3F
"""BPF_F_NO_PREALLOC to BPF_F_STACK_BUILD_ID, which are all that 4.18 has."""

CAPABILITIES = ("net_admin", "bpf", "perfmon")
LOAD = """
import sys
from pathlib import Path
from spale_bpf import libbpf
for name in sys.argv[1:]:
    with libbpf.Object.open(Path(name).read_bytes(), Path(name).name.partition(".")[0]) as loading:
        loading.load()
print(*[line.split()[1] for line in open("/proc/self/status") if line.startswith(("CapEff", "CapBnd"))])
"""

SHT_PROGBITS, SHF_EXECINSTR = 1, 4
LD_IMM64_MAP = 1  # BPF_PSEUDO_MAP_FD; every later pseudo source is newer than 4.18


@pytest.fixture(scope="module", params=FILES)
def name(request: pytest.FixtureRequest) -> str:
    """Return the name of each object in turn, built."""
    rig.build()
    return str(request.param)


@pytest.fixture
def built(name: str) -> elf.Object:
    """Return an object file."""
    return elf.Object((rig.OBJECTS / f"{name}.bpf.o").read_bytes())


def test_code_is_in_its_own_sections(name: str, built: elf.Object) -> None:
    """Programs lie in the sections that libbpf knows by name, and no function lies beside them (.text)."""
    code = {
        section
        for section, header in built.sections.items()
        if header[1] == SHT_PROGBITS and header[2] & SHF_EXECINSTR and header[5]
    }
    assert code == SECTIONS[name]


def test_constants_are_plain(built: elf.Object) -> None:
    """A wide load is a number or a map: no address of a value, a variable or a function (5.2, 5.10, 5.13)."""
    for code in built.functions().values():
        sources = {instruction.source for instruction in code if instruction.opcode == elf.WIDE}
        assert sources <= {0, LD_IMM64_MAP}


def test_maps_are_plain() -> None:
    """Maps are of the five kinds that design.md chose, without a flag that 4.18 does not know."""
    for name, shape in _abi.MAPS.items():
        assert shape.kind in KINDS.values(), name
        assert shape.flags & ~OLD_MAP_FLAGS == 0, name


@pytest.mark.kernel
def test_three_capabilities_suffice() -> None:
    """A process with CAP_NET_ADMIN, CAP_BPF and CAP_PERFMON, and no other, loads both objects."""
    rig.build()
    setpriv = shutil.which("setpriv")
    assert setpriv, "setpriv is part of util-linux"
    only = ",".join(("-all", *(f"+{name}" for name in CAPABILITIES)))
    objects = [str(rig.OBJECTS / f"{name}.bpf.o") for name in FILES]
    # As root, execve gives what the bounding set leaves.
    command = [setpriv, f"--bounding-set={only}", "--inh-caps=-all", sys.executable, "-c", LOAD, *objects]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [f"{1 << 12 | 1 << 38 | 1 << 39:016x}"] * 2
