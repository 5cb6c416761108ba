# SPDX-License-Identifier: MIT
"""Let a library be found by its name where the one file has it; PyInstaller runs this before anything else.

pyseccomp asks for libseccomp so. Without this Python would start ldconfig, and find the host's, if any.
"""

import ctypes.util
import sys
from pathlib import Path

_find_in_system = ctypes.util.find_library


def _find(name: str) -> str | None:
    for path in Path(sys._MEIPASS).glob(f"lib{name}.so*"):  # type: ignore[attr-defined] # noqa: SLF001 - PyInstaller's
        return path.name
    return _find_in_system(name)


ctypes.util.find_library = _find
