# SPDX-License-Identifier: MIT
"""Ask whether anything that requirements/ pins has a vulnerability that is known: `python tools/audit.py`.

Exit code 0: all was asked for and none is known. 1: there are some. 69: not all could be asked for, and why;
pip-audit itself says "none found" then. Run by `nox -s audit`; for `nox -s release` 69 is not enough.

SPALE_AUDIT says whom to ask: `pypi` (the default) or `osv`; `offline` asks nobody (docs/adr/0149).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parent.parent
PIN = re.compile(r"^(?P<name>[\w.\-]+)==(?P<version>[^ ;]+)", re.MULTILINE)
SERVICES = ("pypi", "osv")
OFFLINE = "offline"
VULNERABLE = 1
UNAVAILABLE = 69  # sysexits.h

Pins = dict[str, str]


class Verdict(NamedTuple):
    """What was found out about some packages, one line each; both empty is what one hopes for."""

    vulnerable: list[str]
    unknown: list[str]
    """What could not be asked for."""

    @property
    def code(self) -> int:
        """Return the exit code: what is known to be wrong comes before what is not known."""
        return VULNERABLE if self.vulnerable else UNAVAILABLE if self.unknown else 0

    @property
    def words(self) -> str:
        """Return all of it for people."""
        if self.code == UNAVAILABLE:
            more = f", and {len(self.unknown) - 1} more" if len(self.unknown) > 1 else ""
            return f"not audited: {self.unknown[0]}{more}"
        return "\n".join([*self.vulnerable, *self.unknown]) or "no known vulnerability"


def rounds(texts: Iterable[str]) -> list[Pins]:
    """Return all pins, for whichever system; a name is once in a round, as pip-audit wants it."""
    found: list[Pins] = []
    for name, version in dict.fromkeys(
        match.group("name", "version") for text in texts for match in PIN.finditer(text)
    ):
        fitting = next((pins for pins in found if name not in pins), None)
        if fitting is None:
            found.append(fitting := {})
        fitting[name] = version
    return found


def judge(pins: Pins, report: dict[str, Any]) -> Verdict:
    """Return what pip-audit's `report` says about `pins`; a package that it does not speak of is unknown."""
    told = {each["name"]: each for each in report.get("dependencies", ())}
    asked = {name for name, each in told.items() if "skip_reason" not in each}
    vulnerable = [
        f"{name} {pins.get(name)}: {each['id']}, fixed in {', '.join(each['fix_versions']) or 'none yet'}"
        for name in sorted(asked)
        for each in told[name]["vulns"]
    ]
    unknown = [
        told.get(name, {}).get("skip_reason", f"no word about {name}") for name in sorted(set(pins) - asked)
    ]
    return Verdict(vulnerable, unknown)


def ask(pins: Pins, service: str) -> Verdict:
    """Ask `service` about `pins`."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as wanted:
        wanted.write("".join(f"{name}=={version}\n" for name, version in pins.items()))
        wanted.flush()
        options = [
            "--no-deps",
            "--disable-pip",
            "--format=json",
            "--progress-spinner=off",
            f"--vulnerability-service={service}",
        ]
        command = [sys.executable, "-m", "pip_audit", *options, "--requirement", wanted.name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        return judge(pins, json.loads(done.stdout))
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]
        return Verdict([], [f"the service {service} cannot be asked: {last}"])


def audit(root: Path) -> Verdict:
    """Return what is known about all that is pinned in `root`; exit if SPALE_AUDIT is nonsense."""
    service = os.environ.get("SPALE_AUDIT", SERVICES[0])
    if service == OFFLINE:
        return Verdict([], [f"SPALE_AUDIT={OFFLINE}"])
    if service not in SERVICES:
        sys.exit(f"audit: SPALE_AUDIT={service} is none of {', '.join((*SERVICES, OFFLINE))}")
    texts = [path.read_text(encoding="utf-8") for path in sorted((root / "requirements").glob("*.txt"))]
    verdicts = [ask(pins, service) for pins in rounds(texts)]
    return Verdict(
        [line for each in verdicts for line in each.vulnerable],
        [line for each in verdicts for line in each.unknown],
    )


def main() -> None:
    """Ask, say, and exit with what was found out."""
    verdict = audit(ROOT)
    print(verdict.words)  # noqa: T201 - that is what it is for
    sys.exit(verdict.code)


if __name__ == "__main__":
    main()
