# SPDX-License-Identifier: MIT
"""The file system that the kernels boot into: this project, its tests, and of this host what they need.

Every file has the path that it has here, so that .venv works there as it is.
"""

from __future__ import annotations

import compileall
import ctypes
import re
import shlex
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from kernels.cpio import Archive, Device
from kernels.programs import program
from packaging.requirements import Requirement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

ROOT = Path(__file__).parents[2]
GUEST = Path("/guest")
"""Where everything is that only the guest has."""

MODULES = GUEST / "modules.d"
DISTRIBUTIONS = ("spale-core", "spale-tc", "spale-xdp", "pyroute2", "pytest", "pytest-timeout", "hypothesis")
"""With what they require: spale, what its demo needs, what runs the tests (conftest.py: hypothesis)."""

PACKAGES = ("bpf/src", "spale_core/src", "spale_crypto_hpke/src", "spale_tc/src", "spale_xdp/src")
SOURCES = (*PACKAGES, "bpf/build", "tests", "tools/kernels", "pyproject.toml")
LIBRARIES = ("libbpf.so.1", "libseccomp.so.2")
"""What Python opens by name, so that ldd does not know of it."""

_PROGRAMS = ("ip", "tc", "ldconfig", "busybox")
_APPLETS = ("insmod", "mount", "poweroff", "sh", "sleep", "true", "unshare")
_NEVER_USED = re.compile(
    r"/(test|tests|idlelib|tkinter|turtledemo|ensurepip|lib2to3|pydoc_data|(site|dist)-packages|config-[^/]*)/"
    r"|/_tkinter\.|\.opt-\d\.pyc$|\.a$"
)
"""Of Python's own library."""


def base_image() -> Archive:
    """Return what is the same for each kernel."""
    for source in (*PACKAGES, "tests/kernel", "tests/e2e"):  # an emulator takes longer for that
        compileall.compile_dir(ROOT / source, quiet=1)
    archive = Archive()
    for path in _files():
        archive.copy(path)
    archive.character_device(Path("/dev/console"), Device(5, 1))
    for folder in ("proc", "sys", "tmp", "run", "var/lib", "root"):
        archive.folder(Path("/", folder))
    archive.text(Path("/etc/passwd"), "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n")
    archive.text(Path("/etc/group"), "root:x:0:\nnogroup:x:65534:\n")
    _own_programs(archive)
    return archive


def _own_programs(archive: Archive) -> None:
    """Add what begins it all, and what the tests call."""
    for applet in _APPLETS:
        archive.link(GUEST / "bin" / applet, str(program("busybox")))
    archive.text(GUEST / "bin" / "make", "#!/guest/bin/sh\n# What it would build came with this.\n", 0o755)
    archive.text(Path("/init"), Path(__file__).with_name("init.sh").read_text("utf-8"), 0o755)
    variables = {"ROOT": ROOT, "PYTHON": sys.executable}
    lines = (f"{name}={shlex.quote(str(value))}\n" for name, value in variables.items())
    archive.text(GUEST / "environment", "".join(lines))


def _files() -> Iterator[Path]:
    """Yield the files of this host that the guest needs; each library that is linked, too."""
    python = Path(sys.executable)
    yield from (python, python.parents[1] / "pyvenv.cfg", Path("/etc/ld.so.cache"))
    found = [path for path in _tree(Path(sysconfig.get_path("stdlib"))) if not _NEVER_USED.search(str(path))]
    found += _installed()
    for source in SOURCES:
        found += _tree(ROOT / source)
    programs = [*map(program, _PROGRAMS), *_libraries()]
    yield from found
    yield from programs
    yield from _linked([python, *programs, *(path for path in found if ".so" in path.suffixes)])


def _tree(path: Path) -> list[Path]:
    return [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]


def _installed() -> Iterator[Path]:
    """Yield the files of DISTRIBUTIONS and of what they require, but for the programs in .venv/bin."""
    for name in closure(DISTRIBUTIONS, lambda name: metadata.requires(name) or ()):
        for file in metadata.files(name) or ():
            path = Path(str(file.locate()))
            if ".." not in file.parts and path.exists():
                yield path


def closure(names: Iterable[str], requires: Callable[[str], Iterable[str]]) -> set[str]:
    """Return distributions and all that they require here, in any number of steps."""
    known: set[str] = set()
    waiting = list(names)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name not in known:
            known.add(name)
            wanted = map(Requirement, requires(name))
            waiting += [
                each.name for each in wanted if not each.marker or each.marker.evaluate({"extra": ""})
            ]
    return known


def _libraries() -> Iterator[Path]:
    """Yield where LIBRARIES are: where the loader finds them."""
    for name in LIBRARIES:
        ctypes.CDLL(name)
        stem = re.escape(name.partition(".so")[0])
        found = re.search(rf"(/\S*)/{stem}\b\S*$", Path("/proc/self/maps").read_text("utf-8"), re.MULTILINE)
        if found:
            yield Path(found[1], name)


def _linked(paths: Iterable[Path]) -> set[Path]:
    """Return the libraries that programs and libraries are linked with."""
    said = subprocess.run(
        [program("ldd"), *paths], capture_output=True, text=True, timeout=60, check=False
    ).stdout
    return {Path(path) for path in re.findall(r"^\t(?:\S+ => )?(/\S+) \(0x", said, re.MULTILINE)}
