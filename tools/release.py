# SPDX-License-Identifier: MIT
"""Check that a version can be released: `python tools/release.py 1.0.0` (docs/releasing.md, docs/adr/0150).

It publishes nothing. All checks are made, each is printed with what is wrong and what would be right, and the
exit code is 1 if anything is. The last one builds everything once more, from a clone of this commit.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from audit import OFFLINE, audit
from releasing import files, repository
from releasing.artefacts import artefacts
from releasing.checklist import Check, print_all

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
BIN = ROOT / ".venv/bin"
SESSIONS = ("build", "onefile", "deb", "sbom")
"""What makes everything in dist/."""

BY_HAND = """\
What this does not see (docs/releasing.md): continuous integration is green on this commit, and so are
nox -s pythons kernels systemd load; the changelog reads well. Then tag it, and publish what {sums} lists.
"""


def run(*command: str | Path, folder: Path = ROOT) -> list[str]:
    """Run `command`; return the end of what it said if it failed."""
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    said = (done.stdout + done.stderr).strip().splitlines()
    return said[-10:] or [f"{command[0]} failed"] if done.returncode else []


def installed(version: str) -> list[str]:
    """Check that the programs themselves say that they are this version."""
    remedies = {BIN / "spale": "make venv installs it anew", DIST / "spale": "nox -s onefile makes it anew"}
    wrong = []
    for program, remedy in remedies.items():
        if program.exists():
            told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
            if told.stdout.strip() != f"spale {version}":
                wrong.append(f"{program.relative_to(ROOT)} --version says {told.stdout.strip()!r}; {remedy}")
    return wrong


def described() -> list[str]:
    """Check what a registry would refuse of the metadata."""
    packages = [str(path) for path in artefacts(DIST) if path.suffix in {".whl", ".gz"}]
    return run(sys.executable, "-m", "twine", "check", "--strict", *packages) if packages else ["no wheels"]


def audited() -> list[str]:
    """Check that nothing that is pinned has a known vulnerability; to release unasked is a decision."""
    verdict = audit(ROOT)
    if not verdict.code or (not verdict.vulnerable and os.environ.get("SPALE_AUDIT") == OFFLINE):
        return []
    return [
        *verdict.words.splitlines(),
        f"SPALE_AUDIT={OFFLINE} releases unasked, which the announcement must say",
    ]


def rebuilt() -> list[str]:
    """Check that a clone of this commit builds exactly what lies in dist/."""
    with tempfile.TemporaryDirectory(prefix="spale-release-") as name:
        clone = Path(name) / "spale"
        repository.git(ROOT, "clone", "--quiet", "--no-hardlinks", str(ROOT), str(clone))
        return (
            run("make", "venv", folder=clone)
            # Tests have been made with what lies in dist/; they hold for the same bytes.
            or run(clone / ".venv/bin/nox", "--session", *SESSIONS, "--", "--collect-only", folder=clone)
            or files.same(DIST, clone / "dist")
        )


def cheap(version: str) -> Iterator[Check]:
    """Yield what takes seconds."""
    yield Check("everything is committed", repository.clean_tree(ROOT))
    yield Check("the tag is this version's, if there is one", repository.tag(ROOT, version))
    yield Check("five distributions, one version", repository.version_everywhere(ROOT, version))
    yield Check("spale --version agrees", installed(version))
    yield Check("the changelog has its section, no fragment is left", repository.changelog(ROOT, version))
    yield Check("licences, pins, hygiene (tests/repo)", run(BIN / "pytest", "-q", "tests/repo"))
    yield Check("all artefacts are there, and no others", files.complete(DIST, version))
    yield Check("each has its SBOM", files.sboms(DIST))
    yield Check("twine check", described())


def main() -> None:
    """Make all checks; those that take minutes only where they can succeed, except for the audit."""
    if len(sys.argv) != 2:  # noqa: PLR2004 - the program and a version
        sys.exit("which version? nox -s release -- 1.0.0")
    checks = list(cheap(sys.argv[1]))
    ready = not any(check.wrong for check in checks)
    unasked = " (not asked, as SPALE_AUDIT says)" if os.environ.get("SPALE_AUDIT") == OFFLINE else ""
    checks.append(Check(f"no known vulnerability in what is pinned{unasked}", audited()))
    checks.append(
        Check(
            "rebuilt from this commit: the same to the byte",
            rebuilt() if ready else ["tried when the rest is right"],
        )
    )
    if not print_all(checks):
        sys.exit(1)
    sys.stdout.write(BY_HAND.format(sums=files.write_sums(DIST).relative_to(ROOT)))


if __name__ == "__main__":
    main()
