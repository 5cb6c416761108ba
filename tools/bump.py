# SPDX-License-Identifier: MIT
"""Write a version to all places where it is stated: `python tools/bump.py 1.0.0`."""

from __future__ import annotations

import sys
from pathlib import Path

from releasing.versions import bump, wrong_with

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Write it, and say what comes next."""
    (version,) = sys.argv[1:] or [""]
    if wrong := wrong_with(version):
        sys.exit(f"bump: {wrong}")
    count = bump(ROOT, version)
    sys.stdout.write(f"{version} written to {count} places; now run: make venv\n")


if __name__ == "__main__":
    main()
