# SPDX-License-Identifier: MIT
"""Run tests inside the machine and tell the host of each as it ends, one JSON object a line.

`python guest.py RESULTS ARGUMENTS`: a device to write to, and a file with an argument of pytest a line.
Nothing of ours is imported. What is told is read by outcome.py.
"""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path
from typing import IO

import pytest


class Teller:
    """A plugin of pytest that writes what became of each test."""

    def __init__(self, results: IO[str]) -> None:
        """Tell `results`."""
        self._results = results

    def tell(self, **said: object) -> None:
        """Write one line, at once: nobody knows how long this machine lives."""
        self._results.write(json.dumps(said) + "\n")
        self._results.flush()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Tell how many tests there will be."""
        self.tell(collected=len(session.items))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Tell that a test begins: the last one told is the one that hangs."""
        self.tell(begins=nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Tell what became of a test, and of what failed before and after it."""
        if report.when == "call" or not report.passed:
            self.tell(test=report.nodeid, outcome=report.outcome, seconds=report.duration, why=_why(report))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Tell of a file that cannot be read as one of tests, or that is skipped as a whole."""
        if not report.passed:
            self.tell(test=report.nodeid, outcome=report.outcome, seconds=0.0, why=_why(report))


def _why(report: pytest.TestReport | pytest.CollectReport) -> str:
    if report.skipped and isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    return report.longreprtext


def main(device: Path, arguments: Path) -> None:
    """Run the tests; the last line told is pytest's exit code."""
    with device.open("w", encoding="utf-8") as results:
        teller = Teller(results)
        teller.tell(release=platform.release())
        code = pytest.main(arguments.read_text("utf-8").splitlines(), plugins=[teller])
        teller.tell(exit=int(code))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
