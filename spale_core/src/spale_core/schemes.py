# SPDX-License-Identifier: MIT
"""Find an authentication scheme without the plugin manager: a client needs one, and must start fast.

The server goes through `plugins`, which checks the rules of docs/hooks.md as well.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from spale_core.errors import PluginError
from spale_core.hookspecs import PROJECT

if TYPE_CHECKING:
    from spale_core.interfaces import AuthScheme


def find_scheme(name: str) -> AuthScheme:
    """Return the scheme `name` of the plugin that is called so too.

    Raise PluginError if no plugin of that name is installed, more than one is, or it offers no such scheme.
    """
    # A development install may list one distribution twice.
    found = {point.value: point for point in entry_points(group=PROJECT, name=name)}
    if len(found) != 1:
        raise PluginError(
            f"{len(found) or 'no'} plugins {name!r} are installed; one is needed: pip install spale-core"
        )
    ((module, point),) = found.items()
    try:
        offers = point.load().spale_register_auth_schemes()
    except (ImportError, AttributeError) as error:
        raise PluginError(f"plugin {name!r} ({module}) cannot be loaded: {error}") from error
    for scheme in offers:
        if scheme.name == name:
            return scheme  # type: ignore[no-any-return] # a plugin's module is not typed
    raise PluginError(f"plugin {name!r} ({module}) does not offer the scheme {name!r}")
