# SPDX-License-Identifier: MIT
"""LOADER=bcc: the process that compiles, what it may do, and what it may say."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import evolve
from compiled_rig import demand_bcc
from rig import BPF

from spale_bpf.compiler import PROGRAMS, PYTHON, Compiler, compiled, shipped
from spale_core.errors import DataplaneError


@pytest.fixture(autouse=True)
def _bcc() -> None:
    demand_bcc()


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


def test_the_copy_is_exact(tmp_path: Path) -> None:
    """What has gone from the source goes from what is shipped; what has come is there."""
    gone = tmp_path / "source" / "include" / "spale_gone.h"
    gone.parent.mkdir(parents=True)
    gone.touch()
    make = ["make", "--silent", "-C", str(BPF), f"SOURCE={tmp_path}/source"]
    subprocess.run(make, capture_output=True, timeout=60, check=True)
    copies = [each.relative_to(tmp_path / "source") for each in (tmp_path / "source").rglob("*.h")]
    assert sorted(copies) == sorted(
        each.relative_to(BPF) for folder in ("include", "bcc") for each in (BPF / folder).rglob("*.h")
    )


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
        ("import signal; signal.pause()", "nothing within 0.5 s"),
        ("print('{}')", "the answer has no program"),
        ("print('[]')", "the answer is none"),
        ("import sys; print('why not'); sys.exit(3)", "exit 3"),
    ],
)
def test_a_compiler_that_fails(sources: Path, does: str, said: str) -> None:
    """It is ended when its time is over, and what it says is judged."""
    (sources / "bcc" / "compile").write_text(does)
    limit_s = 0.5 if "pause" in does else 10
    with pytest.raises(DataplaneError, match=said):
        Compiler(sources, python=Path(sys.executable), limit_s=limit_s).compile("spale_xdp")


@pytest.mark.parametrize("output", ["stdout", "stderr"])
def test_a_compiler_that_prints_too_much(sources: Path, output: str) -> None:
    """It is ended, and neither is kept: what the error quotes is short, though it is one line."""
    (sources / "bcc" / "compile").write_text(f"import sys\nwhile True: sys.{output}.write('x' * 65536)")
    with pytest.raises(DataplaneError, match="cannot compile: it prints more than 1048576 bytes") as failed:
        Compiler(sources, python=Path(sys.executable)).compile("spale_xdp")
    assert len(str(failed.value)) < 5000


def test_an_error_of_many_lines(sources: Path) -> None:
    """The first twenty are quoted."""
    (sources / "bcc" / "compile").write_text("import sys\nsys.exit('line\\n' * 30)")
    with pytest.raises(DataplaneError) as failed:
        Compiler(sources, python=Path(sys.executable)).compile("spale_xdp")
    assert str(failed.value).count("line") == 20


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
import json, os, pathlib, runpy, sys
runpy.run_path("compile")["give_up_privileges"](pathlib.Path(".."))
done = {}
for name, attempt in {
    "read": lambda: open(sys.argv[1]),
    "write": lambda: open(sys.argv[1], "a"),
    "rename": lambda: [os.rename(sys.argv[1], "../../2"), os.rename("../../2", sys.argv[1])],
    "configure": lambda: open("/proc/sys/kernel/core_pattern", "a"),
    "signal": lambda: os.kill(os.getppid(), 0),
    "look": lambda: open("/proc/self/environ"),
}.items():
    try:
        attempt()
    except OSError:
        continue
    done[name] = True
print(json.dumps([[*done], open("/proc/self/status").read()]))
"""
NOBODY = "\t".join(4 * ["65534"])
ROOT = "\t".join(4 * ["0"])


def given_up(sources: Path, secret: Path, *through: str | Path) -> tuple[set[str], dict[str, str]]:
    """Return what a process can do to root's file and so on that has given up, and its state."""
    command = [*through, sys.executable, "-I", "-S", "-c", GIVE_UP, secret]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=20, cwd=sources / "bcc"
    )
    can, state = json.loads(done.stdout)
    return set(can), dict(line.split(":\t", 1) for line in state.splitlines() if ":\t" in line)


def without(capabilities: str) -> list[str]:
    """Return what runs a command with a smaller bounding set, in words of setpriv(1)."""
    setpriv = shutil.which("setpriv", path="/usr/bin:/bin")
    assert setpriv, "setpriv is part of util-linux"
    return [setpriv, f"--bounding-set={capabilities}", "--inh-caps=-all"]


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Return a file that its owner alone may read, as it is called from the folder of the compiler.

    So nobody can reach it, whatever the folders above are like.
    """
    tmp_path.chmod(0o755)
    (tmp_path / "secret").touch(0o600)
    return Path("..", "..", "secret")


@pytest.fixture
def closed(sources: Path) -> Path:
    """Return sources that their owner alone may read."""
    for each in (sources, *sources.rglob("*")):
        each.chmod(0o700)
    return sources


def test_it_takes_no_privilege(sources: Path, secret: Path) -> None:
    """Before bcc is loaded all capabilities are given up, and so is root; nobody else may look into it."""
    can, state = given_up(sources, secret)
    assert {int(state[f"Cap{name}"], 16) for name in ("Prm", "Eff", "Inh", "Amb")} == {0}
    assert state["NoNewPrivs"] == "1"
    if os.geteuid() == 0:
        assert (state["Uid"], state["Gid"], state["Groups"].strip()) == (NOBODY, NOBODY, "")
        assert can == set()


@pytest.mark.kernel
def test_what_it_keeps_to_read_closed_sources(closed: Path, secret: Path) -> None:
    """The capability to read; without it it stays root, and so does a root who cannot become another."""
    can, state = given_up(closed, secret)
    assert (state["Uid"], state["CapPrm"], state["CapEff"]) == (NOBODY, f"{4:016x}", f"{4:016x}")
    assert can == {"read", "look"}
    for lacking in ("-dac_read_search", "-setuid"):
        can, state = given_up(closed, secret, *without(lacking))
        assert (state["Uid"], state["Gid"], int(state["CapPrm"], 16)) == (ROOT, NOBODY, 0)
        assert can >= {"read", "write", "rename", "signal"}


@pytest.mark.kernel
@pytest.mark.parametrize(("name", "lacking"), [("spale_tc", "+all"), ("spale_xdp", "-dac_read_search")])
def test_closed_sources_are_compiled(closed: Path, tmp_path: Path, name: str, lacking: str) -> None:
    """As open ones are, with the capability to read them or as root."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {shlex.join([*without(lacking), str(PYTHON)])} "$@"\n')
    python.chmod(0o755)
    assert Compiler(closed, python=python).compile(name) == compiled(name)


@pytest.mark.parametrize("name", PROGRAMS)
def test_open_sources_below_a_closed_folder_are_compiled(sources: Path, tmp_path: Path, name: str) -> None:
    """Who compiles need not enter what is above them."""
    tmp_path.chmod(0o700)
    assert Compiler(sources).compile(name) == compiled(name)


MAKE = """
from spale_core.interfaces import DataplaneSettings
from spale_tc.attach import make
sizes = {"max_grants": 1, "max_sources": 64, "max_tags": 1}
make(DataplaneSettings(spa_port=1, rate=0, burst=1, **sizes, loader="bcc")).close()
"""


@pytest.mark.kernel
def test_three_capabilities_suffice() -> None:
    """Those that the daemon needs without root (spec.md); the compiler has none of them."""
    command = [*without("-all,+net_admin,+bpf,+perfmon"), sys.executable, "-c", MAKE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
