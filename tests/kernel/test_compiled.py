# SPDX-License-Identifier: MIT
"""LOADER=bcc: what bcc compiles here judges as what was compiled beforehand does, and how it is compiled."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import elf
import pytest
import table
from attrs import evolve
from compiled_rig import CompiledCoarseRig, CompiledRig, demand_bcc
from lab import settings
from machine import Entry
from test_coarse_objects import ROWS as ROWS_OF_CLOCKS
from test_packet_table import ROWS

from spale_bpf import _abi, libbpf
from spale_bpf.compiled import CompiledObject, linked
from spale_bpf.compiler import PROGRAMS, Compiler, compiled, shipped
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


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Return a copy of what is shipped, which a test may change."""
    return shutil.copytree(shipped().sources, tmp_path / "source")


def test_a_source_that_cannot_be_compiled(sources: Path) -> None:
    """What clang says of it is in the error; a warning is one."""
    source = sources / "spale_xdp.bpf.c"
    source.write_text(source.read_text() + "\nstatic int unused(int nothing) { return 1; }\n")
    with pytest.raises(DataplaneError, match="bcc cannot compile: exit 1") as failed:
        Compiler(sources).compile("spale_xdp")
    assert "unused parameter" in str(failed.value)


def test_what_is_missing_is_named(sources: Path) -> None:
    """No bindings: what to install. No sources: how to make them. No Python: which."""
    whole = Compiler(sources)
    with pytest.raises(DataplaneError, match="bindings are not installed; `apt install python3-bpfcc` "):
        evolve(whole, root=sources).compile("spale_tc")
    with pytest.raises(DataplaneError, match="python-none: No such file"):
        evolve(whole, python=Path("/python-none")).compile("spale_tc")
    (sources / "spale_tc.bpf.c").unlink()
    with pytest.raises(DataplaneError, match="is not complete; in a source tree: make -C bpf"):
        whole.compile("spale_tc")


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("import os; os.kill(os.getpid(), 9)", "ended by SIGKILL"),
        ("import time; time.sleep(60)", "nothing within 0.5 s"),
        ("print('{}')", "the answer has no program"),
        ("print('[]')", "the answer is none"),
        ("import sys; print('why not'); sys.exit(3)", "exit 3"),
    ],
)
def test_a_compiler_that_fails(sources: Path, does: str, said: str) -> None:
    """It is ended when its time is over, and what it says is judged."""
    (sources / "bcc" / "compile").write_text(does)
    limit_s = 0.5 if "sleep" in does else 10
    with pytest.raises(DataplaneError, match=said):
        Compiler(sources, python=Path(sys.executable), limit_s=limit_s).compile("spale_xdp")


def test_nothing_of_the_callers_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its folder nor its environment: where bcc would look for headers, what a compiler includes."""
    (tmp_path / "bcc.py").write_text("raise SystemExit(9)")
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "spale_policy.h").write_text("#error of somebody else")
    monkeypatch.chdir(tmp_path)
    for name in ("PYTHONPATH", "CPATH", "C_INCLUDE_PATH", "BCC_KERNEL_SOURCE", "LD_LIBRARY_PATH"):
        monkeypatch.setenv(name, str(tmp_path))
    assert shipped().compile("spale_xdp") == compiled("spale_xdp")


GIVE_UP = """
import runpy, sys
runpy.run_path(sys.argv[1])["give_up_privileges"]()
print(open("/proc/self/status").read())
"""


def test_it_takes_no_privilege() -> None:
    """Before bcc is loaded all is given up but what it takes to read the sources."""
    script = shipped().sources / "bcc" / "compile"
    command = [sys.executable, "-I", "-S", "-c", GIVE_UP, script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    state = dict(line.split(":\t", 1) for line in done.stdout.splitlines() if ":\t" in line)
    assert {int(state[name], 16) for name in ("CapPrm", "CapEff")} <= {0, 1 << 2}
    assert {int(state[name], 16) for name in ("CapInh", "CapAmb")} == {0}
    assert state["NoNewPrivs"] == "1"


MAKE = """
from spale_core.interfaces import DataplaneSettings
from spale_tc.attach import make
sizes = {"max_grants": 1, "max_sources": 64, "max_tags": 1}
make(DataplaneSettings(spa_port=1, rate=0, burst=1, **sizes, loader="bcc")).close()
"""


@pytest.mark.kernel
def test_three_capabilities_suffice() -> None:
    """Those that the daemon needs without root (spec.md); the compiler has none of them."""
    setpriv = shutil.which("setpriv", path="/usr/bin:/bin")
    assert setpriv, "setpriv is part of util-linux"
    only = "-all,+net_admin,+bpf,+perfmon"
    command = [setpriv, f"--bounding-set={only}", "--inh-caps=-all", sys.executable, "-c", MAKE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
