# SPDX-License-Identifier: MIT
"""What is different where spale is one executable file, made by PyInstaller (docs/adr/0134).

Its bootloader unpacks what is inside to a folder, and starts itself again to run from there. That second
process learns by the environment where the folder is. Processes of ours that we start may know that, too; all
other programs must not.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import MutableMapping

AS_MODULE: Final = "--as-module"
"""The first word of a command line by which the one file runs a module of ours, as ``python -m`` does."""

_LIBRARIES: Final = "LD_LIBRARY_PATH"
_LIBRARIES_BEFORE: Final = "LD_LIBRARY_PATH_ORIG"
_BOOTLOADERS: Final = "_PYI_"
"""How the names begin of what else the bootloader writes into the environment."""

_taken: Final[dict[str, str]] = {}


def is_one() -> bool:
    """Tell whether this process runs from the one file."""
    return bool(getattr(sys, "frozen", False))


def folder() -> str:
    """Return the folder to which the one file was unpacked."""
    return str(getattr(sys, "_MEIPASS"))  # noqa: B009 - a name of PyInstaller's that no typing knows


def take_out(environment: MutableMapping[str, str]) -> None:
    """Make `environment` what it was before the bootloader: no other program may find our libraries.

    Our own process has looked at it already. `environment_of_ours` remembers.
    """
    for name in list(environment):
        if name in {_LIBRARIES, _LIBRARIES_BEFORE} or name.startswith(_BOOTLOADERS):
            _taken[name] = environment.pop(name)
    if _LIBRARIES_BEFORE in _taken:
        environment[_LIBRARIES] = _taken[_LIBRARIES_BEFORE]


def environment_of_ours() -> dict[str, str]:
    """Return what else a process of ours must find in its environment to run from our folder.

    It must end before we do, when the folder goes; without these, it unpacks one of its own.
    """
    return dict(_taken)
