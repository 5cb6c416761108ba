# SPDX-License-Identifier: MIT
"""`spale plugins`: what is installed, by whom, what it offers, and what the configuration uses."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import asdict, frozen

from spale_core import config, plugins
from spale_core.cli.options import add_config_option
from spale_core.errors import ConfigError, PluginError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence


@frozen
class Listed:
    """A plugin as it is listed; `used` is None where the configuration cannot be read."""

    name: str
    offers: tuple[str, ...]
    distribution: str
    version: str
    module: str
    used: bool | None
    problem: str = ""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command and its options."""
    parser = subparsers.add_parser(
        "plugins",
        help="what is installed, by whom, and what is in use",
        description="List the installed plugins: name, what it offers, the distribution that brought it, and"
        " whether the configuration uses it. Each plugin is imported for that.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    add_config_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the plugins and return 0."""
    used = _used(arguments.config)
    listed = [_listed(plugin, used) for plugin in plugins.installed()]
    if arguments.json:
        sys.stdout.write(json.dumps([asdict(each) for each in listed], indent=2) + "\n")
        return 0
    sys.stdout.write("".join(f"{line}\n" for line in _table(listed)))
    if used is None:
        sys.stdout.write("\nWhat is in use is not known: the configuration has mistakes (spale check).\n")
    return 0


def _used(path: str | None) -> frozenset[str] | None:
    """Return the names that the configuration uses, None if it has mistakes."""
    try:
        settings = config.load({}, os.environ, None if path is None else Path(path))
    except ConfigError:
        return None
    return frozenset((settings.dataplane, settings.store, *settings.auth))


def _listed(plugin: plugins.InstalledPlugin, used: frozenset[str] | None) -> Listed:
    try:
        offers, problem = _offers(plugin.name), ""
    except PluginError as error:
        offers, problem = (), str(error)
    in_use = None if used is None else plugin.name in used
    return Listed(plugin.name, offers, plugin.distribution, plugin.version, plugin.module, in_use, problem)


def _offers(name: str) -> tuple[str, ...]:
    """Return the kinds of what the plugin `name` offers under its own name; raise PluginError."""
    loaded = plugins.Plugins([name])
    kinds = {"dataplane": loaded.dataplane, "authentication": loaded.auth_scheme, "store": loaded.store}
    found = []
    for kind, get in kinds.items():
        try:
            get(name)
        except PluginError:
            continue
        found.append(kind)
    return tuple(found)


def _table(listed: Sequence[Listed]) -> Iterator[str]:
    rows = [("NAME", "OFFERS", "FROM", "IN USE")]
    for each in listed:
        in_use = "?" if each.used is None else ("yes" if each.used else "no")
        offers = ", ".join(each.offers) or "-"
        rows.append((each.name, offers, f"{each.distribution} {each.version}", in_use))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    yield from (each.problem for each in listed if each.problem)
