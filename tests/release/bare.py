# SPDX-License-Identifier: MIT
"""A view of this machine in which there is no compiler and some libraries are missing, for a command.

Each command runs in a mount namespace of its own, where overlays take the files away. Nothing else changes,
and nothing of it is left when the command and its children have ended.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

COMPILERS = ("clang*", "gcc*", "*-gcc*", "g++*", "*-g++*", "cc", "c++", "cpp", "cpp-*", "c[89]9*", "tcc")
"""Programs by which something could be compiled."""


def run(*words, timeout_s=120, check=True, **options):
    """Run a command; return how it ended and what it printed. If it fails, and `check`, so does the test."""
    command = [*map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False, **options)
    assert not check or done.returncode == 0, f"{command[-6:]}\n{done.stdout}\n{done.stderr}"
    return done


def compilers():
    """Return all compilers that a PATH could lead to."""
    folders = {*map(Path, os.get_exec_path()), Path("/usr/bin"), *Path("/usr/lib").glob("llvm-*/bin")}
    known = {folder.resolve() for folder in folders}
    return {path for folder in known for name in COMPILERS for path in folder.glob(name)}


def shared(*stems):
    """Return all files of libraries of these names (libz) where the loader looks, whatever their version."""
    command = [shutil.which("ldconfig", path=os.environ["PATH"] + ":/usr/sbin:/sbin"), "-p"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    known = {
        Path(line.rpartition(" => ")[2]).parent.resolve() for line in listed.splitlines() if "=>" in line
    }
    forms = ("{}.so*", "{}-[0-9]*.so*")
    return {
        path
        for folder in known
        for stem in stems
        for form in forms
        for path in folder.glob(form.format(stem))
    }


class Bare:
    """The machine without the files `hidden`; `work` is an empty folder."""

    def __init__(self, work, hidden):
        """Write what takes the files away."""
        work.mkdir()
        self._work = work
        folders = {}
        for path in sorted(hidden):
            folders.setdefault(path.parent, []).append(path.name)
        lines = ["set -eu", f"mount -t tmpfs none {shlex.quote(str(work))}"]
        for number, (folder, names) in enumerate(folders.items()):
            lines += self._take_away(str(number), folder, names)
        self._script = "\n".join([*lines, 'exec "$@"'])

    def _take_away(self, number, folder, names):
        upper, index = (shlex.quote(str(self._work / number / each)) for each in ("upper", "index"))
        yield f"mkdir -p {upper} {index}"
        # In an overlay this is the sign for a file that is not there (linux, overlayfs.rst).
        yield f"for name in {shlex.join(names)}; do mknod {upper}/$name c 0 0; done"
        target = shlex.quote(str(folder))
        yield f"mount -t overlay -o lowerdir={target},upperdir={upper},workdir={index} none {target}"

    def command(self, *words):
        """Return a command that does `words` there."""
        unshare = [shutil.which("unshare"), "--mount", "--propagation", "private"]
        return [*unshare, shutil.which("sh"), "-c", self._script, "sh", *map(str, words)]

    def run(self, *words, **options):
        """Run a command there; see `run`."""
        return run(*self.command(*words), **options)
