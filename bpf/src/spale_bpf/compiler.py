# SPDX-License-Identifier: MIT
"""bcc as the compiler, in a process of its own: what it takes of memory is gone with it (docs/adr/0140).

That process runs the distribution's Python, for which the bindings are made, whatever Python runs us, and
knows nothing of ours. It gets sources that lie beside this module, and prints instructions; both what it
prints and how long it takes are bounded.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import frozen

from spale_bpf import _abi, libbpf
from spale_bpf.printed import PRINTED_MAX, Printed, run_bounded
from spale_core import bindings
from spale_core.errors import DataplaneError

if TYPE_CHECKING:
    from collections.abc import Mapping

PYTHON: Final = Path("/usr/bin/python3")
LIMIT_S: Final = 30.0
"""How long a compilation may take: shorter than a service manager waits for a sign of life."""

SCHED_CLS, XDP = 3, 6
"""BPF_PROG_TYPE_*."""

PROGRAMS: Final[Mapping[str, Mapping[str, int]]] = {
    "spale_tc": {"spale_tc_eth": SCHED_CLS, "spale_tc_l3": SCHED_CLS},
    "spale_xdp": {"spale_xdp": XDP},
}
"""What is in each source, and of which kind."""

NUMBERS: Final = {name: number for number, name in enumerate(_abi.MAPS, 1)}
"""What a map is called in compiled code, until its descriptor takes the number's place."""

_COARSE = "_coarse"
_WARNINGS = ("-Wall", "-Wextra", "-Werror")
_QUOTED_LINES = 20
_QUOTED = 4096
"""How many lines and characters of the compiler's an error quotes: the first line says what is wrong."""


@frozen
class Compiler:
    """Compiles what is in the folder `sources`; a test has another one, or another Python."""

    sources: Path
    root: Path = Path("/")
    python: Path = PYTHON
    limit_s: float = LIMIT_S

    def compile(self, name: str) -> dict[str, bytes]:
        """Return the instructions of each program of the object `name`. Raise DataplaneError."""
        base = name.removesuffix(_COARSE)
        found = bindings.find(self.root)
        if found is None:
            raise DataplaneError(f"LOADER=bcc: {bindings.ABSENT}")
        script = self.sources / "bcc" / "compile"
        source = self.sources / f"{base}.bpf.c"
        if not (script.is_file() and source.is_file()):
            raise DataplaneError(f"{self.sources} is not complete; in a source tree: make -C bpf")
        options: list[str | Path] = [*_WARNINGS, "-I.."]
        options += [f"-DSPALE_NUMBER_OF_{each}={number}" for each, number in NUMBERS.items()]
        if base != name:
            options.append("-DSPALE_COARSE")
        # -I and -S: nothing of the environment, of a user's or of a site's packages.
        command: list[str | Path] = [self.python, "-I", "-S", script.name, found.folder, f"../{source.name}"]
        # From that folder, and by names from there: nobody, who it becomes, may not enter those above.
        return _programs(self._run(command + options, script.parent), PROGRAMS[base])

    def _run(self, command: list[str | Path], folder: Path) -> bytes:
        """Return what the compiler prints, run in `folder`.

        Raise DataplaneError, with the beginning of what it says, if it fails.
        """
        try:
            done = run_bounded(
                command,
                cwd=folder,
                env={"BCC_KERNEL_SOURCE": ".", "LC_ALL": "C.UTF-8"},
                limit_s=self.limit_s,
            )
        except subprocess.TimeoutExpired as error:
            raise DataplaneError(f"bcc has compiled nothing within {self.limit_s:g} s") from error
        except OSError as error:
            raise DataplaneError(f"bcc cannot be run: {self.python}: {error.strerror}") from error
        if done.status or done.is_cut:
            said = done.errors.decode(errors="replace")[:_QUOTED].splitlines()[:_QUOTED_LINES]
            raise DataplaneError("\n".join((f"bcc cannot compile: {_ending(done)}", *said)))
        return done.output


def _ending(done: Printed) -> str:
    if done.is_cut:
        return f"it prints more than {PRINTED_MAX} bytes"
    return f"exit {done.status}" if done.status > 0 else f"ended by {signal.Signals(-done.status).name}"


def _programs(answer: bytes, wanted: Mapping[str, int]) -> dict[str, bytes]:
    """Return the programs of an answer; raise DataplaneError if it is not what was asked for."""
    try:
        programs = {name: bytes.fromhex(code) for name, code in json.loads(answer).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise DataplaneError(f"bcc cannot compile: the answer is none: {error}") from error
    whole = all(code and len(code) % libbpf.INSTRUCTION == 0 for code in programs.values())
    if programs.keys() != wanted.keys() or not whole:
        raise DataplaneError(f"bcc cannot compile: the answer has {', '.join(programs) or 'no program'}")
    return programs


def shipped() -> Compiler:
    """Return the compiler of the sources that came with this package."""
    return Compiler(Path(os.fspath(resources.files("spale_bpf") / "source")))  # type: ignore[call-overload] # a path


@functools.cache
def compiled(name: str) -> Mapping[str, bytes]:
    """Return the instructions of each program of the object `name`, compiled once. Raise DataplaneError.

    A reload neither waits for the compiler nor takes what an upgrade has put beside us meanwhile.
    """
    return shipped().compile(name)
