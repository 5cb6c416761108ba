# SPDX-License-Identifier: MIT
"""Run the tests by which a version of Python could make a difference, with the Python that runs this.

`nox -s pythons` does it for each version that is supported, in an environment with the packages of
requirements/dev.txt and the five distributions (docs/adr/0151). Every warning is an error, in daemons and
commands as well. Arguments go to pytest. At last the wheels in dist/, if there are any, are tried with this
Python.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WITHOUT_KERNEL = ("tests/unit", "tests/contract", "tests/property")
WITH_KERNEL = (
    "tests/kernel/test_libbpf.py",  # ctypes: memory, callbacks, errors
    "tests/kernel/test_maps.py",
    "tests/kernel/test_attach_tc.py",  # netlink
    "tests/kernel/test_attach_xdp.py",
    "tests/e2e/test_processes.py",  # fork, privileges, seccomp, messages between the two processes
    "tests/e2e/test_commands.py",  # commands at a real daemon
    "tests/e2e/test_doors.py",
    "tests/e2e/test_stores.py",  # sqlite
)
"""Files that lead through everything that talks to a kernel, without all the cases of `nox -s kernel e2e`."""

OF_WHEELS = "copies or core_alone or demo_runs"
"""The tests of tests/release/test_wheels.py that run what is in them."""

SHORT = {"SPALE_PACKETS": "20000", "SPALE_SEED": "1", "PYTHONWARNINGS": "error"}


def pytest(*words: str, **more: str) -> int:
    """Run pytest as `words` say, and `more` is in the environment; return its exit code."""
    # What is not of Python, bpftool, is in .venv; what is, is found beside this Python first.
    folders = (str(Path(sys.executable).parent), os.environ["PATH"], str(ROOT / ".venv/bin"))
    path = os.pathsep.join(folders)
    command = [sys.executable, "-m", "pytest", "-q", "-n", "5", "--dist", "worksteal", *words, *sys.argv[1:]]
    environment = {**SHORT, **os.environ, "PATH": path, **more}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def wheels() -> int:
    """Try the wheels in dist/ with nothing but what pip takes for this Python; return an exit code."""
    with tempfile.TemporaryDirectory(prefix="spale-wheels-") as folder:
        options = ("--quiet", "--require-hashes", "--only-binary", ":all:", "--dest", folder)
        command = [sys.executable, "-m", "pip", "download", *options, "-r", f"{ROOT}/requirements/base.txt"]
        done = subprocess.run(command, check=False)
        # What pip itself is warned of (on 3.13, its own importlib.metadata) is not ours.
        environment = {"SPALE_PYTHON": sys.executable, "SPALE_THIRD_PARTY": folder, "PYTHONWARNINGS": ""}
        return done.returncode or pytest("-k", OF_WHEELS, "tests/release/test_wheels.py", **environment)


def main() -> None:
    """Run all, also where something has failed before; exit with 1 if anything has."""
    codes = [pytest(*WITHOUT_KERNEL), pytest(*WITH_KERNEL)]
    if list((ROOT / "dist").glob("spale*.whl")):
        codes.append(wheels())
    else:
        sys.stdout.write("pythons: dist/ has no wheels to try; nox -s build makes some\n")
    sys.exit(any(codes))


if __name__ == "__main__":
    main()
