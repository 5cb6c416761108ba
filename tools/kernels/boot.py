# SPDX-License-Identifier: MIT
"""Boot a kernel in an emulator, with a file system of ours; nothing of this host is visible to it."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, NamedTuple

from kernels import image, modules
from kernels.programs import program

if TYPE_CHECKING:
    from pathlib import Path

    from kernels.cpio import Archive
    from kernels.fetch import Kernel

LIMIT_S = float(os.environ.get("SPALE_KERNEL_S", "900"))
"""How long a machine may run; it takes 60 to 90 s where it has a core for itself."""

MEMORY_MB = 1024
_CONSOLE_LINES = 25
_OUT_OF_TIME = 124
"""What `timeout` ends with."""

# What the guest takes for a second is a thousand million of its own instructions, and time in which it has
# nothing to do passes at once. So no deadline in a test depends on how busy this host is (docs/adr/0145).
_OWN_TIME = ("-icount", "shift=0,sleep=off", "-rtc", "clock=vm")

_COMMAND_LINE = "console=ttyS0 panic=-1 loglevel=4 rdinit=/init mitigations=off tsc=reliable"


class Ended(NamedTuple):
    """What a machine left: how it ended if not by itself, what it told, the last it wrote on its console."""

    trouble: str
    results: str
    console: str


def boot(kernel: Kernel, base: Archive, tests: list[str], folder: Path) -> Ended:
    """Run `tests` under a kernel and wait for the end of it, LIMIT_S at most."""
    folder.mkdir(parents=True, exist_ok=True)
    packed, results, console = (folder / name for name in ("initramfs", "results", "console"))
    results.unlink(missing_ok=True)
    _pack(kernel, base, tests, packed)
    machine = [str(program("qemu-system-x86_64")), "-accel", "tcg", "-cpu", "qemu64", "-M", "pc", "-smp", "1"]
    machine += ["-m", str(MEMORY_MB), *_OWN_TIME, "-nodefaults", "-no-user-config", "-display", "none"]
    machine += ["-no-reboot", "-kernel", str(kernel.image), "-initrd", str(packed), "-append", _COMMAND_LINE]
    machine += ["-serial", f"file:{console}", "-serial", f"file:{results}"]
    trouble = _run(machine)
    packed.unlink()
    return Ended(trouble, _text(results), "\n".join(_text(console).splitlines()[-_CONSOLE_LINES:]))


def _text(path: Path) -> str:
    return path.read_text("utf-8", "replace") if path.exists() else ""


def _run(machine: list[str]) -> str:
    """Wait for the machine's end; return what was wrong. It ends in time even if nobody waits any more."""
    bounded = [str(program("timeout")), "--foreground", str(LIMIT_S), *machine]
    done = subprocess.run(bounded, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode == _OUT_OF_TIME:
        return f"it has not ended within {LIMIT_S:.0f} s"
    return f"qemu ended with {done.returncode}: {done.stderr.strip()}" if done.returncode else ""


def _pack(kernel: Kernel, base: Archive, tests: list[str], path: Path) -> None:
    """Write the base with a kernel's modules, and the order in which they are loaded."""
    files = modules.in_tree(kernel.modules)
    contents = {}

    def needs(name: str) -> list[str]:
        contents[name] = modules.read(files[name])
        return modules.depends(contents[name])

    order = modules.in_order(modules.NEEDED, files, needs)
    archive = base.copied()
    for name in order:
        archive.data(image.MODULES / f"{name}.ko", contents[name])
    archive.text(image.GUEST / "modules", "\n".join(order))
    archive.text(image.GUEST / "tests", "\n".join(tests))
    with path.open("wb") as stream:
        archive.write(stream)
