# SPDX-License-Identifier: MIT
"""What became of the tests under one kernel, and the table of all. Read from what guest.py tells."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TABLE = "tests/vm/test_all_rows.py"
TC, XDP = "tests/kernel/test_attach_tc.py", "tests/kernel/test_attach_xdp.py"
DOORS, LIFE = "tests/e2e/test_doors.py", "tests/e2e/test_life_cycle.py"

WANTED = {
    "packet table": ((TABLE, ""),),
    "TCX": ((TC, "tcx"),),
    "clsact": ((TC, "clsact"),),
    "XDP native": ((XDP, "native"),),
    "XDP generic": ((XDP, "generic"),),
    "TC or XDP": ((TC, ""), (XDP, "")),
    "knock": ((DOORS, ""),),
    "takeover": ((LIFE, ""),),
}
"""For each column of the table the tests that it counts: a file, and a word in the brackets behind the name.

A test counts in the first column that fits.
"""


class Test(NamedTuple):
    """What became of one."""

    name: str
    outcome: str
    seconds: float
    why: str


class Outcome(NamedTuple):
    """What became of all of them under one kernel; `trouble` if it did not come to an orderly end."""

    tests: tuple[Test, ...]
    release: str
    trouble: str

    @property
    def good(self) -> bool:
        """Return whether all came to an end and none failed."""
        return not self.trouble and not self.failed

    @property
    def failed(self) -> list[Test]:
        """Return the tests that failed."""
        return [test for test in self.tests if test.outcome == "failed"]

    @property
    def skipped(self) -> list[Test]:
        """Return the tests that this kernel cannot pass, each with the reason."""
        return [test for test in self.tests if test.outcome == "skipped"]


def read(told: str, trouble: str) -> Outcome:
    """Understand what a guest has told, and what was wrong with the machine itself."""
    lines = [json.loads(line) for line in told.splitlines() if line.endswith("}")]
    last: dict[str, Test] = {}
    for line in lines:
        if "test" in line:
            test = Test(line["test"], line["outcome"], line["seconds"], line["why"])
            if test.name not in last or test.outcome == "failed":
                last[test.name] = test
    begun = [line["begins"] for line in lines if "begins" in line]
    release = next((line["release"] for line in lines if "release" in line), "")
    codes = [line["exit"] for line in lines if "exit" in line]
    expected = sum(line.get("collected", 0) for line in lines)
    if not codes:
        where = f"in {begun[-1]}" if begun else "before the first test"
        trouble = f"{trouble or 'the machine ended'} {where}"
    elif trouble or codes[0] > 1 or len(begun) != expected:
        trouble = f"{trouble} pytest ended with {codes[0]} after {len(begun)} of {expected} tests".strip()
    return Outcome(tuple(last.values()), release, trouble)


def column(name: str) -> str:
    """Return in which column a test counts."""
    file, _, case = name.partition("::")
    words = case.partition("[")[2].lower().replace("_", "-").replace("]", "-").split("-")
    for title, places in WANTED.items():
        if any(file == place and (not word or word in words) for place, word in places):
            return title
    return "other"


def cell(tests: Sequence[Test]) -> str:
    """Return what the table says of the tests of a column."""
    counts = {kind: sum(test.outcome == kind for test in tests) for kind in ("passed", "failed", "skipped")}
    if counts["failed"]:
        return f"**{counts['failed']} failed**"
    if counts["passed"]:
        return f"{counts['passed']}"
    return "not there" if counts["skipped"] else "-"


def row(titles: Iterable[str], outcome: Outcome) -> list[str]:
    """Return the cells of a kernel."""
    return [cell([test for test in outcome.tests if column(test.name) == title]) for title in titles]
