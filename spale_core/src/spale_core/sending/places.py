# SPDX-License-Identifier: MIT
"""Where each system keeps a user's settings; paths are text, so that each can be told on any other."""

from __future__ import annotations

import ntpath
import os
import posixpath
import sys
from typing import TYPE_CHECKING, Final

from spale_core.errors import MissingInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER: Final = "spale"

_PLACES: Final = {
    "win32": ("APPDATA", "AppData", "Roaming"),
    "darwin": ("XDG_CONFIG_HOME", "Library", "Application Support"),
    "": ("XDG_CONFIG_HOME", ".config"),
}
"""By ``sys.platform``: the variable that names the folder, and where it is in a home without that."""


def profile_root() -> str:
    """Return the folder of this user's profiles; raise MissingInputError if the user has no home."""
    return root_on(sys.platform, os.environ, os.path.expanduser("~"))  # noqa: PTH111 - pathlib costs time


def root_on(platform: str, environment: Mapping[str, str], home: str) -> str:
    """Return that folder for ``sys.platform``, the environment and the home folder of somebody.

    XDG_CONFIG_HOME counts if it is absolute, as the XDG Base Directory Specification wants it; on Windows
    APPDATA is what counts. Raise MissingInputError if nothing of this says where.
    """
    variable, *inside = _PLACES.get(platform, _PLACES[""])
    join, is_absolute = (
        (ntpath.join, ntpath.isabs) if platform == "win32" else (posixpath.join, posixpath.isabs)
    )
    chosen, usual = environment.get(variable, ""), join(home, *inside)
    found = chosen if is_absolute(chosen) else usual
    if not is_absolute(found):
        raise MissingInputError("nobody knows where your profiles are: HOME is not set")
    return join(found, FOLDER)
