# SPDX-License-Identifier: MIT
"""libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer on the kernel programs' headers.

SPALE_FUZZ_S says for how many seconds. What the target checks beyond not crashing stands in fuzz_policy.c.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from random import Random

import frames
import pytest
from rig import BPF

TARGET = Path(__file__).with_name("fuzz_policy.c")
NATIVE = Path(__file__).parents[1] / "kernel" / "native"
FLAGS = ("-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", f"-I{BPF / 'include'}", f"-I{NATIVE}")
SANITIZERS = (
    "-fsanitize=fuzzer,address,undefined",
    "-fno-sanitize-recover=all",
    "-fno-sanitize=alignment",  # docs/adr/0015: headers are read where they lie
)
NO_RUNTIME = re.compile(r"libclang_rt\.fuzzer|unsupported option '-fsanitize")

SECONDS = int(os.environ.get("SPALE_FUZZ_S", "5"))
SEED = int(os.environ.get("SPALE_SEED", "1"))
SEEDS = 300
LONGEST = 2400
"""Bytes of an input: two tags, IPv6, an extension header of the greatest length, a knock."""

FEWEST_RUNS = 1000


@pytest.fixture(scope="module")
def fuzzer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the target; skip where clang has no runtime for it, fail instead if SPALE_REQUIRE_KERNEL=1."""
    built = tmp_path_factory.mktemp("fuzz") / "fuzz_policy"
    command = ["clang", *FLAGS, *SANITIZERS, str(TARGET), "-o", str(built)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode and NO_RUNTIME.search(done.stderr):
        reason = f"clang has no libFuzzer (Debian, Ubuntu: libclang-rt-dev): {done.stderr.splitlines()[0]}"
        if os.environ.get("SPALE_REQUIRE_KERNEL") == "1":
            pytest.fail(f"SPALE_REQUIRE_KERNEL=1, but: {reason}", pytrace=False)
        pytest.skip(reason)
    assert done.returncode == 0, done.stderr
    return built


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Write what the fuzzer begins with: frames of the property tests, behind random first bytes."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    random = Random(SEED)  # noqa: S311 - a test's
    for number in range(SEEDS):
        frame = frames.frame(random)
        how = bytes([random.randrange(32), random.randrange(256), random.randrange(4), random.randrange(25)])
        bare = how[0] & 4
        (folder / f"{number}").write_bytes(how + (frame[14:] if bare else frame))
    return folder


@pytest.mark.timeout(SECONDS + 120)
def test_no_input_breaks_the_policy(fuzzer: Path, corpus: Path, tmp_path: Path) -> None:
    """No read beyond the packet, nothing undefined, no drop without its count, whatever arrives."""
    limits = (f"-max_total_time={SECONDS}", f"-max_len={LONGEST}", "-timeout=10", "-rss_limit_mb=1024")
    command = [str(fuzzer), f"-seed={SEED % 2**31}", *limits, f"-artifact_prefix={tmp_path}/", str(corpus)]
    # Leaks would be the target's own, and looking for them needs ptrace.
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=SECONDS + 90, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr[-8000:]
    runs = re.search(r"^Done (\d+) runs", done.stderr, re.MULTILINE)
    assert runs
    assert int(runs[1]) > FEWEST_RUNS
