# SPDX-License-Identifier: MIT
"""bcc's Python bindings, with which LOADER=bcc compiles: a package of the distribution, or not there.

No virtual environment sees them, and what PyPI calls bcc is something else. So they are looked for where
distributions put them, and nothing of them is imported here.
"""

from __future__ import annotations

import re
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

PLACES: Final = (
    "usr/lib/python3/dist-packages",
    "usr/lib/python3.*/site-packages",
    "usr/lib64/python3.*/site-packages",
)
"""Where Debian, and where others have them, below the root."""

REMEDY: Final = "apt install python3-bpfcc"
ABSENT: Final = (
    "bcc's Python bindings are not installed;"
    f" `{REMEDY}` (Debian, Ubuntu) or `dnf install python3-bcc` (Fedora) brings them"
)

_VERSION = re.compile(r"__version__ = ['\"](.+)['\"]")


@frozen
class Bindings:
    """The folder that the package is in, and its version."""

    folder: Path
    version: str


def find(root: Path = Path("/")) -> Bindings | None:
    """Return the bindings, None if they are not installed."""
    found = PathFinder.find_spec("bcc", [str(place) for place in _places(root)])
    # Without an origin it is a folder with nothing to run, as one is in which only __pycache__ is left.
    if found is None or found.origin is None or not found.submodule_search_locations:
        return None
    package = Path(found.submodule_search_locations[0])
    try:
        version = _VERSION.search((package / "version.py").read_text(encoding="utf-8"))
    except OSError:
        version = None
    return Bindings(package.parent, version[1] if version else "unknown")


def _places(root: Path) -> Iterable[Path]:
    return (place for pattern in PLACES for place in sorted(root.glob(pattern), reverse=True))
