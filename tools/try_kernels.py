# SPDX-License-Identifier: MIT
"""Boot kernels of Debian in an emulator and run tests under each: `nox -s kernels`.

SPALE_KERNELS=5.10,6.12 chooses. What cannot be fetched is skipped with the reason, or with
SPALE_REQUIRE_KERNEL=1 a failure; everything else that goes wrong is a failure. Ends with 0 or 1.
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import TYPE_CHECKING

from kernels import outcome
from kernels.boot import boot
from kernels.debian import SERIES
from kernels.fetch import Archive, CannotFetchError, Kernel
from kernels.image import base_image
from kernels.outcome import DOORS, LIFE, TABLE, TC, XDP, Outcome

if TYPE_CHECKING:
    from kernels.cpio import Archive as Files

FOLDER = Path(__file__).parents[1] / "build" / "kernels"
AT_ONCE = 2
WAYS = ("tc", "xdp-native")
TESTS = [
    *("-p", "no:cacheprovider", "--color=no", "--tb=short", "--quiet", "--timeout=0"),
    *(TC, XDP, TABLE),
    *(f"{DOORS}::test_a_stranger_meets_silence[{way}-ipv4]" for way in WAYS),
    *(f"{DOORS}::test_a_knock_opens_every_service_to_its_source[{way}-ipv4]" for way in WAYS),
    *(f"{DOORS}::test_a_knock_opens_every_service_to_its_source[{way}-ipv6]" for way in WAYS),
    *(f"{LIFE}::test_no_restart_opens[{way}-{end.value}]" for way in WAYS for end in (SIGTERM, SIGKILL)),
]
"""Arguments of pytest."""


def main() -> int:
    """Try what is wanted, two at a time, and say what came of it."""
    began = time.monotonic()
    wanted = os.environ.get("SPALE_KERNELS", ",".join(SERIES)).split(",")
    unknown = [series for series in wanted if series not in SERIES]
    if unknown:
        sys.stderr.write(f"SPALE_KERNELS: {', '.join(unknown)}: not one of {', '.join(SERIES)}\n")
        return 1
    kernels, missing = _fetched(wanted)
    outcomes = _all_tried(kernels) if kernels else []
    for series, why in missing.items():
        _say(f"{series}: skipped: {why}")
    _say(_table(kernels, outcomes))
    good = sum(each.good for each in outcomes)
    took = f"{time.monotonic() - began:.0f} s"
    _say(f"{good} passed, {len(outcomes) - good} failed, {len(missing)} skipped in {took}")
    refused = missing and os.environ.get("SPALE_REQUIRE_KERNEL") == "1"
    return 1 if refused or good < len(outcomes) else 0


def _all_tried(kernels: list[Kernel]) -> list[Outcome]:
    """Try some, a few at a time."""
    files = base_image()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda kernel: _tried(kernel, files), kernels))


def _fetched(wanted: list[str]) -> tuple[list[Kernel], dict[str, str]]:
    """Return the kernels that could be had, each release once, and why the others could not."""
    kernels: dict[str, Kernel] = {}
    missing = {}
    archive = Archive(FOLDER / "apt")
    archive.refresh(wanted)
    for series in wanted:
        try:
            kernel = archive.kernel(series)
        except CannotFetchError as error:
            missing[series] = str(error)
        else:
            kernels[kernel.release] = kernel
    return list(kernels.values()), missing


def _tried(kernel: Kernel, files: Files) -> Outcome:
    """Boot one, and say what became of it at once."""
    began = time.monotonic()
    ended = boot(kernel, files, TESTS, FOLDER / kernel.series)
    came = outcome.read(ended.results, ended.trouble)
    if came.release != kernel.release and not came.trouble:
        came = came._replace(trouble=f"{came.release} was booted")
    lines = [f"{kernel.release}: {len(came.tests)} tests, {time.monotonic() - began:.0f} s"]
    lines += [f"  skipped: {test.name}: {test.why}" for test in came.skipped]
    lines += [f"  FAILED: {test.name}\n{test.why}" for test in came.failed]
    if came.trouble:
        lines += [f"  FAILED: {came.trouble}; its last words:", ended.console]
    _say("\n".join(lines))
    return came


def _table(kernels: list[Kernel], outcomes: list[Outcome]) -> str:
    """Return docs/kernels.md's table."""
    titles = ["kernel", "Debian's version", *outcome.WANTED]
    rows = [
        [kernel.series, kernel.version, *outcome.row(outcome.WANTED, came)]
        for kernel, came in zip(kernels, outcomes, strict=True)
    ]
    lines = [titles, ["---"] * len(titles), *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{datetime.now(UTC):%d %B %Y}\n\n{table}\n"


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
