# SPDX-License-Identifier: MIT
"""Programs of this host."""

from __future__ import annotations

import shutil
from pathlib import Path

_FOLDERS = "/usr/sbin:/usr/bin:/sbin:/bin"


def program(name: str) -> Path:
    """Return where a program is. Raise FileNotFoundError."""
    found = shutil.which(name, path=_FOLDERS)
    if found is None:
        raise FileNotFoundError(f"{name}: not installed; `tools/setup.sh kernels` does that")
    return Path(found)
