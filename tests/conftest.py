# SPDX-License-Identifier: MIT
"""What all tests share: the marker `kernel`, how much hypothesis tries, which files there are."""

from __future__ import annotations

import ctypes
import functools
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]
BPF_PROG_TYPE_SCHED_CLS = 3  # linux/bpf.h

# Bounded by the number of examples, not by a clock: a busy machine must not make a promise false.
settings.register_profile(
    "spale", deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile("ci", settings.get_profile("spale"), derandomize=True, database=None)
settings.register_profile("deep", settings.get_profile("spale"), max_examples=20_000)
settings.load_profile("ci" if os.environ.get("SPALE_REQUIRE_KERNEL") == "1" else "spale")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers."""
    config.addinivalue_line("markers", "kernel: needs root, network namespaces and a kernel that loads eBPF")
    config.addinivalue_line("markers", "alone: takes the machine for itself; not beside others")


@functools.cache
def _kernel_lacks() -> str | None:
    """Return why this process cannot load eBPF into namespaces of its own; None if it can."""
    if os.geteuid() != 0:
        return "not root"
    try:
        libbpf = ctypes.CDLL("libbpf.so.1")
    except OSError as error:
        return f"no libbpf: {error}"
    if libbpf.libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_SCHED_CLS, None) != 1:
        return "the kernel refuses a TC program"
    command = ["unshare", "--net", "true"]
    made = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    if made.returncode != 0:
        return f"no network namespaces: {made.stderr.strip()}"
    return None


def _demand_kernel() -> None:
    reason = _kernel_lacks()
    if reason is None:
        return
    if os.environ.get("SPALE_REQUIRE_KERNEL") == "1":
        pytest.fail(f"SPALE_REQUIRE_KERNEL=1, but: {reason}", pytrace=False)
    pytest.skip(reason)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test marked `kernel` where the kernel cannot do it; fail it if SPALE_REQUIRE_KERNEL=1."""
    if item.get_closest_marker("kernel") is not None:
        _demand_kernel()


@pytest.fixture
def require_kernel() -> None:
    """Do what the marker `kernel` does, for a test that finds out late that it needs one."""
    _demand_kernel()


@pytest.fixture(scope="session")
def files() -> tuple[Path, ...]:
    """Return every file that is, or with `git add` would be, in the repository."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git clone, so nobody can say which files belong to it")
    # safe.directory: under sudo the clone belongs to somebody else.
    git = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    listing = [*git, "--cached", "--others", "--exclude-standard"]
    answer = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30).stdout
    paths = (ROOT / name for name in sorted(answer.split("\0")) if name)
    return tuple(path for path in paths if path.is_file())
