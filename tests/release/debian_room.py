# SPDX-License-Identifier: MIT
"""A Debian beside this machine: debootstrap's smallest, changed in memory only, in namespaces of its own.

It is of the release that this machine has, from where this machine's apt has its packages. What is fetched is
kept in .nox/debian, with what the package depends on, so that the next run fetches nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from spale_core.demo.poll import until

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / ".nox/debian"
BOOT = ROOT / "tests/e2e/boot.sh"
FETCH_S = 900.0
RUN_S = 120.0
LATE_S = 30.0

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
INSIDE = {"PATH": PATH, "HOME": "/root", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}

IN_A_CHROOT = 'mount -t proc none "$1/proc" && exec chroot "$@"'
MAKE = ("--mount", "--pid", "--fork", "--kill-child")
ASKED = "$(ORIGIN)|$(CODENAME)|$(RELEASE)|$(COMPONENT)|$(CREATED_BY)|$(REPO_URI)"
APT_SETTINGS = re.compile(
    r"^Acquire::(?:https?|Check-Valid-Until|Check-Date|ForceIPv[46])\b.*$", re.MULTILINE
)


def said(*command, timeout=RUN_S, **options):
    """Run a command; return what it said, to both of its outputs. Fail if it does."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, **options}
    done = subprocess.run(list(map(str, command)), check=False, timeout=timeout, **options)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}"
    return done.stdout


def codename():
    """Return what this machine's release is called."""
    return re.search(r"^VERSION_CODENAME=(\w+)$", Path("/etc/os-release").read_text(), re.MULTILINE)[1]


def sources():
    """Return from where this machine's apt has its release: address, suite and component of each."""
    name, found = codename(), []
    for line in said("apt-get", "indextargets", "--format", ASKED).splitlines():
        origin, _, suite, component, made, address = line.split("|")
        ours = origin in {"Debian", "Ubuntu", ""} and suite.split("-")[0] == name
        if ours and made == "Packages" and component in {"main", "universe"}:
            found.append((address, suite, component))
    assert found, "apt on this machine has no packages of its own release"
    return found


def make_base(folder, depends):
    """Make the smallest Debian there is in `folder`, with `depends` installed by apt."""
    available = sources()
    mirror = next(address for address, suite, _ in available if suite == codename())
    strap = ["debootstrap", "--variant=minbase", codename(), folder, mirror]
    said("unshare", *MAKE, *strap, timeout=FETCH_S)
    lines = [f"deb {address} {suite} {component}\n" for address, suite, component in available]
    (folder / "etc/apt/sources.list").write_text("".join(dict.fromkeys(lines)))
    settings = "\n".join(APT_SETTINGS.findall(said("apt-config", "dump")))
    (folder / "etc/apt/apt.conf.d/99this-machine").write_text(settings + "\n")
    proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    chroot = ["unshare", *MAKE, "sh", "-c", IN_A_CHROOT, "sh", folder]
    for words in (["update"], ["satisfy", "--yes", "--no-install-recommends", depends], ["clean"]):
        said(*chroot, "apt-get", "--quiet", *words, timeout=FETCH_S, env={**proxies, **INSIDE})


def base(package, work):
    """Return a folder below `work` with a Debian that has all that `package` depends on."""
    depends = said("dpkg-deb", "--field", package, "Depends").strip()
    key = hashlib.sha256(repr((depends, sources())).encode()).hexdigest()[:16]
    kept = KEPT / f"{codename()}-{key}.tar.gz"
    folder = work / "debian"
    if not kept.exists():
        make_base(folder, depends)
        KEPT.mkdir(parents=True, exist_ok=True)
        fresh = kept.with_suffix(".new")
        said(
            "tar",
            "--create",
            "--one-file-system",
            "-C",
            folder,
            "-I",
            "gzip -1",
            "-f",
            fresh,
            ".",
            timeout=FETCH_S,
        )
        fresh.rename(kept)
        return folder
    folder.mkdir()
    said("tar", "--extract", "--gzip", "--numeric-owner", "-C", folder, "-f", kept, timeout=FETCH_S)
    return folder


class Daemon:
    """A `spale run` in a room."""

    def __init__(self, room, words, log):
        """Begin it."""
        self._room = room
        self.log = log
        with log.open("w") as file:
            self.process = subprocess.Popen(
                room.inside(*words), stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )

    def is_ready(self):
        """Tell whether it guards; fail if it has ended."""
        assert self.process.poll() is None, self.log.read_text()
        return re.search(r"^ready ", self.log.read_text(), re.MULTILINE)

    def stop(self):
        """Send SIGTERM, which leaves the ports shut, and wait until it has ended."""
        pid = re.search(r"^ready .*\bpid=(\d+)", self.log.read_text(), re.MULTILINE)[1]
        self._room.run("sh", "-c", f"kill -s TERM {pid}")
        self.process.wait(LATE_S)


class Room:
    """That Debian, with a network of its own; what is changed in it is gone when it is closed."""

    def __init__(self, lower, work, target="none"):
        """Make it; with a `target`, its systemd is booted."""
        self._work = work
        for name in ("tree", "work"):
            (work / name).mkdir()
        self._name = f"spale-deb-{os.getpid()}"
        boot = [
            shutil.which("unshare"),
            "--mount",
            "--net",
            BOOT,
            self._name,
            work / "tree",
            work / "work",
            target,
        ]
        self._wants = "sleep" if target == "none" else "systemd"
        self._log = work / "log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                list(map(str, boot)),
                env={**os.environ, "SPALE_BASE": str(lower)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._pid = 0
        self._daemons = []
        try:
            assert until(self._has_begun, LATE_S), self._log.read_text()
        except BaseException:
            self.close()
            raise

    def _has_begun(self):
        """Find process 1; return whether it has come to that."""
        pid = self._process.pid
        with suppress(FileNotFoundError, ProcessLookupError):
            while children := Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                pid = int(children[0])
                if Path(f"/proc/{pid}/comm").read_text().strip() == self._wants:
                    self._pid = pid
        return self._pid != 0

    @property
    def root(self):
        """Return where its files are for us."""
        return Path(f"/proc/{self._pid}/root")

    def inside(self, *words):
        """Return a command that runs in there."""
        variables = [f"{name}={value}" for name, value in INSIDE.items()]
        return ["nsenter", "--target", str(self._pid), "--all", "env", "-i", *variables, *map(str, words)]

    def run(self, *words):
        """Run a command in there; return what it said. Fail if it does."""
        return said(*self.inside(*words))

    def begin(self, *words):
        """Begin a daemon in there; return it when it guards."""
        daemon = Daemon(self, words, self._work / f"daemon-{len(self._daemons)}.log")
        self._daemons.append(daemon)
        assert until(daemon.is_ready, LATE_S), daemon.log.read_text()
        return daemon

    def apt(self, *words):
        """Let apt do something with what is there; return what it said."""
        return self.run("apt-get", "--quiet", "--yes", *words)

    def install(self, package, *options):
        """Install a package, with apt, as a user would; return what was said."""
        there = self.root / "mnt" / package.name
        there.write_bytes(package.read_bytes())
        try:
            return self.apt("install", "--no-install-recommends", *options, f"/mnt/{package.name}")
        finally:
            there.unlink()

    def files(self):
        """Return all that is in there but what apt, dpkg and the system itself keep about the present."""
        seen = self.run("find", "/", "-xdev", "-printf", r"%M %u:%g %p -> %l\n").splitlines()
        return {line for line in seen if not CHANGING.search(line)}

    def close(self):
        """End it; leave nothing behind."""
        self._process.kill()
        for process in (self._process, *(daemon.process for daemon in self._daemons)):
            process.wait(LATE_S)
        script = (
            'mount -t cgroup2 none "$1" && [ -e "$1/$2" ] || exit 0;'
            ' find "$1/$2" -depth -type d -exec rmdir {} + 2>/dev/null'
        )
        sweep = ["unshare", "--mount", "sh", "-c", script, "sh", self._work / "work", self._name]
        assert until(lambda: subprocess.run(sweep, check=False).returncode == 0, LATE_S)


CHANGING = re.compile(
    r" /(?:var/lib/dpkg/|var/log/|var/cache/|var/lib/apt/|proc/|sys/|dev/|tmp/systemd-|run/(?!spale))"
    r"| /etc/(?:passwd|group|shadow|gshadow|subuid|subgid)- "
)
"""What changes when anything is installed, or when time goes by."""
