# SPDX-License-Identifier: MIT
"""What the installed plugins are good for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spale_core import plugins
from spale_core.errors import PluginError
from spale_core.model import Finding, FindingState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from spale_core.interfaces import DataplaneKind


def examine_packages(
    available: Sequence[plugins.InstalledPlugin], used: Collection[str]
) -> Iterator[tuple[Finding, tuple[DataplaneKind, ...]]]:
    """Yield a finding for each plugin, with the dataplanes that it offers; `used` are what must be there."""
    for plugin in available:
        try:
            kinds = plugins.Plugins([plugin.name], available).dataplanes()
        except PluginError as error:
            state = FindingState.MISSING if plugin.name in used else FindingState.WARNING
            yield Finding(f"plugin {plugin.name}", state, str(error)), ()
            continue
        words = f"from {plugin.distribution} {plugin.version}"
        yield Finding(f"plugin {plugin.name}", FindingState.OK, words), kinds
    for name in sorted(set(used) - {plugin.name for plugin in available}):
        remedy = plugins.remedy(name)
        yield Finding(f"plugin {name}", FindingState.MISSING, "is not installed", remedy), ()
