# SPDX-License-Identifier: MIT
"""A root in which there is the one file, its two other names, and the C library; nothing else that could run.

Each command runs in a mount namespace of its own, so nothing of its mounts is left when it has ended.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from spale_core.demo.processes import Background, Daemon

ROOT = Path(__file__).resolve().parents[2]
ONE_FILE = ROOT / "dist/spale"
LINKS = {
    "usr/bin/spale-send": "../sbin/spale",
    "usr/bin/spale-keygen": "../sbin/spale",
    "var/run": "../run",  # as everywhere
}
LIBC = ("libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libutil.so.1")
FOLDERS = (
    "proc",
    "sys",
    "dev",
    "run",
    "root",
    "keys",
    "etc/spale",
    "usr/bin",
    "usr/sbin",
    "var/lib",
    "var/tmp",
)
USERS = "root:x:0:0::/root:/none\nspale:x:991:991::/none:/none\neve:x:1000:1000::/home/eve:/none\n"
SPALE_UID, EVE_UID = 991, 1000
PATH = "/usr/sbin:/usr/bin"

ENTER = """set -eu
root=$1
mount -t proc none "$root/proc"
mount -t sysfs none "$root/sys"
mount -t bpf none "$root/sys/fs/bpf"
mount -t tmpfs -o mode=755 none "$root/dev"
for name in null zero full random urandom tty; do
    touch "$root/dev/$name"
    mount --bind "/dev/$name" "$root/dev/$name"
done
[ -z "${NOEXEC:-}" ] || mount -t tmpfs -o noexec,mode=1777 none "$root/tmp"
unset NOEXEC
exec chroot "$@"
"""


def one_file():
    """Return where the one file is; fail if nobody has made it."""
    if not ONE_FILE.exists():
        pytest.fail(f"there is no {ONE_FILE}: .venv/bin/nox -s onefile", pytrace=False)
    return ONE_FILE


def libraries(program):
    """Return the paths of the loader, of what `program` is linked to, and of the rest of the C library."""
    listed = subprocess.run([shutil.which("ldd"), program], capture_output=True, text=True, check=True).stdout
    linked = {Path(path) for path in re.findall(r"(/\S+) \(0x", listed)}
    beside = next(path for path in linked if path.name == LIBC[0]).parent
    return sorted(linked | {beside / name for name in LIBC})


class Cell:
    """Such a root, in `folder`."""

    def __init__(self, folder):
        """Furnish it."""
        self.root = folder / "root"
        for name in FOLDERS:
            (self.root / name).mkdir(parents=True)
        (self.root / "tmp").mkdir()
        (self.root / "tmp").chmod(0o1777)
        shutil.copy(one_file(), self.root / "usr/sbin/spale")
        for name, target in LINKS.items():
            (self.root / name).symlink_to(target)
        for path in libraries(one_file()):
            place = self.root / path.relative_to("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)
        (self.root / "etc/passwd").write_text(USERS)
        (self.root / "etc/group").write_text("root:x:0:\nspale:x:991:\n")

    def command(self, *words):
        """Return the command that runs `words` in it."""
        unshare = [shutil.which("unshare"), "--mount", "--propagation", "private"]
        return [*unshare, shutil.which("sh"), "-c", ENTER, "sh", str(self.root), *map(str, words)]

    def run(self, *words, timeout_s=60, **environment):
        """Run a command in it, with this environment only; return how it ended and what it printed."""
        outside = {"PATH": PATH + ":" + os.environ["PATH"], **environment}
        return subprocess.run(
            self.command(*words), env=outside, capture_output=True, text=True, timeout=timeout_s, check=False
        )

    def does(self, *words, **options):
        """Run a command in it that must succeed; return what it printed."""
        done = self.run(*words, **options)
        assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    @property
    def processes(self):
        """Return the processes that run in it now."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended meanwhile
                if (entry / "root").readlink() == self.root:
                    found.append(int(entry.name))
        return found

    @property
    def left_over(self):
        """Return what is in its folders for temporary files."""
        return sorted(path.name for name in ("tmp", "var/tmp") for path in (self.root / name).iterdir())


class CellDaemon(Daemon):
    """A ``spale run`` in a cell; its process is the bootloader's."""

    def __init__(self, cell, namespace, log, *options):
        """Start it in a network namespace."""
        Background.__init__(self, namespace, cell.command("/usr/sbin/spale", "run", *options), log)
