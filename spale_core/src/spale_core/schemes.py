# SPDX-License-Identifier: MIT
"""Find an authentication scheme without the plugin manager: a client needs one, and must start fast.

The server goes through `plugins`, which checks the rules of docs/hooks.md as well. `importlib.metadata` is
asked only where the usual files do not tell: importing it takes longer than all of a knock's cryptography.
"""

from __future__ import annotations

import os
import re
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from spale_core.errors import PluginError
from spale_core.hookspecs import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spale_core.interfaces import AuthScheme

_SUFFIX = ".dist-info"
_SECTION = re.compile(rf"^\[{PROJECT}\]$(.*?)(?=^\[|\Z)", re.MULTILINE | re.DOTALL)
_MODULE = re.compile(r"[A-Za-z_][\w.]*")


def find_scheme(name: str) -> AuthScheme:
    """Return the scheme `name` of the plugin that is called so too.

    Raise PluginError if no plugin of that name is installed, more than one is, or it offers no such scheme.
    """
    found = _in_usual_files(name) or _anywhere(name)
    if len(found) != 1:
        raise PluginError(
            f"{len(found) or 'no'} plugins {name!r} are installed; one is needed: pip install spale-core"
        )
    (module,) = found
    try:
        offers = import_module(module).spale_register_auth_schemes()
    except (ImportError, AttributeError) as error:
        raise PluginError(f"plugin {name!r} ({module}) cannot be loaded: {error}") from error
    for scheme in offers:
        if scheme.name == name:
            return scheme  # type: ignore[no-any-return] # a plugin's module is not typed
    raise PluginError(f"plugin {name!r} ({module}) does not offer the scheme {name!r}")


def _in_usual_files(name: str) -> set[str]:
    """Return the modules of the plugins `name` in the folders of installers; none if unsure."""
    line = re.compile(rf"^{re.escape(name)}\s*=\s*(\S+)\s*$", re.MULTILINE)
    found = {
        match[1]
        for text in _entry_point_files()
        for section in _SECTION.findall(text)
        for match in line.finditer(section)
    }
    return found if all(_MODULE.fullmatch(module) for module in found) else set()


def _entry_point_files() -> Iterator[str]:
    """Yield the text of each installed distribution's entry points, of two of one name the first's."""
    seen = set()
    for folder in sys.path:
        try:
            entries = os.listdir(folder or ".")  # noqa: PTH208 - pathlib costs every knock time
        except OSError:
            continue  # an archive, or not there
        for entry in entries:
            distribution = entry.partition("-")[0].lower()
            if not entry.endswith(_SUFFIX) or distribution in seen:
                continue
            seen.add(distribution)
            try:
                path = os.path.join(folder, entry, "entry_points.txt")  # noqa: PTH118 - no pathlib for a knock
                with open(path, encoding="utf-8") as file:  # noqa: PTH123 - no pathlib for a knock
                    yield file.read()
            except OSError:
                continue  # most have none


def _anywhere(name: str) -> set[str]:
    """Return the modules of the plugins `name`, as `importlib.metadata` finds them, slowly and everywhere."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow, and rarely needed

    # A development install may list one distribution twice.
    return {point.module for point in entry_points(group=PROJECT, name=name)}
