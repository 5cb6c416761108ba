# SPDX-License-Identifier: MIT
"""Find, load and question the plugins that the configuration names.

A plugin is an entry point of the group ``spale``: its name is what the configuration calls it, its value a
module with the hooks of `spale_core.hookspecs`. Nothing is loaded that was not named.
"""

from __future__ import annotations

import inspect
import sys
from importlib import metadata
from typing import TYPE_CHECKING, Any, TypeVar

import pluggy
from attrs import field, frozen

from spale_core import hookspecs, onefile
from spale_core.errors import PluginError
from spale_core.hookspecs import PROJECT
from spale_core.interfaces import AuthScheme, DataplaneKind, StoreKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_OURS = {
    "tc": "spale-tc",
    "xdp": "spale-xdp",
    "hpke": "spale-crypto-hpke",
    "hpke-v1": "spale-crypto-hpke",
} | dict.fromkeys(("memory", "sqlite"), "spale-core")
"""Which distribution of ours would give a plugin that is missing."""

_PIP = f"{sys.executable} -m pip install"
_NOT_ONE = "take an installation by pip, which takes plugins"

Offer = TypeVar("Offer", DataplaneKind, AuthScheme, StoreKind)


@frozen
class InstalledPlugin:
    """An entry point of the group ``spale`` and the distribution that it belongs to."""

    name: str
    module: str
    distribution: str
    version: str
    load: Callable[[], object] = field(repr=False, eq=False)

    def __str__(self) -> str:
        """Return the name and its origin, ``tc (spale-tc 1.0)``."""
        return f"{self.name} ({self.distribution} {self.version})"


def installed() -> tuple[InstalledPlugin, ...]:
    """Return every plugin of this Python, sorted by name; none is loaded."""
    found = {}
    for entry in metadata.entry_points(group=PROJECT):
        owner = entry.dist
        name, version = (owner.name, owner.version) if owner else ("unknown", "?")
        # A development install may list one distribution twice.
        found[entry.name, name, entry.value] = InstalledPlugin(
            entry.name, entry.value, name, version, entry.load
        )
    return tuple(found[key] for key in sorted(found))


class Plugins:
    """The plugins called `names`, loaded and checked; each hook is called once, when first needed.

    Raise PluginError for a name that nothing or more than one distribution provides, for a module that
    cannot be imported, and for one that breaks the rules of docs/hooks.md.
    """

    def __init__(self, names: Iterable[str], available: Sequence[InstalledPlugin] | None = None) -> None:
        """Load the plugins called `names` from `available` (default: what is installed)."""
        self._available = installed() if available is None else available
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(hookspecs)
        for name in dict.fromkeys(names):
            self._register(self._choose(name))
        self._offers: dict[str, dict[str, Any]] = {}

    def dataplane(self, name: str) -> DataplaneKind:
        """Return the enforcer called `name`; raise PluginError if no loaded plugin offers it."""
        return self._offer("spale_register_dataplanes", DataplaneKind, name)

    def auth_scheme(self, name: str) -> AuthScheme:
        """Return the authentication called `name`; raise PluginError if no loaded plugin offers it."""
        return self._offer("spale_register_auth_schemes", AuthScheme, name)

    def store(self, name: str) -> StoreKind:
        """Return the grant store called `name`; raise PluginError if no loaded plugin offers it."""
        return self._offer("spale_register_grant_stores", StoreKind, name)

    def dataplanes(self) -> tuple[DataplaneKind, ...]:
        """Return every enforcer that the loaded plugins offer."""
        return tuple(self._ask("spale_register_dataplanes", DataplaneKind).values())

    def _choose(self, name: str) -> InstalledPlugin:
        candidates = [plugin for plugin in self._available if plugin.name == name]
        if not candidates:
            raise PluginError(_missing(name, self._available))
        if len(candidates) > 1:
            owners = " and ".join(f"{plugin.distribution} {plugin.version}" for plugin in candidates)
            raise PluginError(f"plugin {name!r} is provided by {owners}; uninstall all but one")
        return candidates[0]

    def _register(self, plugin: InstalledPlugin) -> None:
        try:
            module = plugin.load()
        except (ImportError, AttributeError, SyntaxError) as error:
            raise PluginError(f"plugin {plugin} cannot be loaded: {error}") from error
        self._manager.register(module, name=str(plugin))
        try:
            self._manager.check_pending()
        except pluggy.PluginValidationError as error:
            raise PluginError(f"plugin {plugin} implements a hook that does not exist: {error}") from error
        callers = self._manager.get_hookcallers(module) or []
        _refuse_wrappers(plugin, module, callers)
        _refuse_unmarked(plugin, module, {caller.name for caller in callers})

    def _offer(self, hook: str, kind: type[Offer], name: str) -> Offer:
        offers = self._ask(hook, kind)
        if name not in offers:
            there = ", ".join(sorted(offers)) or "nothing"
            raise PluginError(f"plugin {name!r} offers no {kind.__name__} of that name, but {there}")
        return offers[name]

    def _ask(self, hook: str, kind: type[Offer]) -> dict[str, Offer]:
        if hook not in self._offers:
            caller = getattr(self._manager.hook, hook)
            self._offers[hook] = _collect(caller, caller(), kind)
        return self._offers[hook]


def _collect(caller: pluggy.HookCaller, answers: Iterable[Any], kind: type[Offer]) -> dict[str, Offer]:
    """Return the offers in `answers` by name, of which there may be one each."""
    plugins = ", ".join(impl.plugin_name for impl in caller.get_hookimpls())
    offers: dict[str, Offer] = {}
    for answer in answers:
        for offer in answer:
            if not isinstance(offer, kind):
                raise PluginError(f"{caller.name} of {plugins} handed over {offer!r}, not a {kind.__name__}")
            if offer.name in offers:
                raise PluginError(f"{kind.__name__} {offer.name!r} is offered twice, by {plugins}")
            offers[offer.name] = offer
    return offers


def _refuse_wrappers(plugin: InstalledPlugin, module: object, callers: Iterable[pluggy.HookCaller]) -> None:
    """Refuse hook wrappers: one plugin must not change what another one offers."""
    for caller in callers:
        for impl in caller.get_hookimpls():
            if impl.plugin is module and (impl.wrapper or impl.hookwrapper):
                raise PluginError(f"plugin {plugin}: {caller.name} is a wrapper; spale allows none")


def _refuse_unmarked(plugin: InstalledPlugin, module: object, hooks: set[str]) -> None:
    """Refuse functions that look like hooks and would silently never be called."""
    for name, _ in inspect.getmembers(module, inspect.isfunction):
        if name.startswith("spale_") and name not in hooks:
            raise PluginError(f"plugin {plugin}: {name} is not marked with @hookimpl, or is not a hook")


def _missing(name: str, available: Iterable[InstalledPlugin]) -> str:
    """Say what is there and what to do, for the operator who named a plugin that is not installed."""
    there = ", ".join(str(plugin) for plugin in available) or "none"
    if onefile.is_one():
        return f"no plugin {name!r} is in this one file (it has: {there}), and none can be added; {_NOT_ONE}"
    install = remedy(name) or f"{_PIP} the distribution that provides it"
    return f"no plugin {name!r} is installed (installed: {there}); would be right: {install}"


def remedy(name: str) -> str | None:
    """Return the command that installs the plugin `name`, None if it is not one of ours."""
    if onefile.is_one():
        return _NOT_ONE
    return f"{_PIP} {_OURS[name]}" if name in _OURS else None
