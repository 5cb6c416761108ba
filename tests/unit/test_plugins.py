# SPDX-License-Identifier: MIT
"""Which plugins are loaded, and which are refused, each with a sentence that helps."""

from __future__ import annotations

import types

import pytest

from spale_core import plugins
from spale_core.errors import PluginError
from spale_core.hookspecs import hookimpl
from spale_core.interfaces import DataplaneKind, StoreKind
from spale_core.plugins import InstalledPlugin, Plugins


def offer(name, kind=DataplaneKind):
    """Return an offer of that name."""
    if kind is DataplaneKind:
        return DataplaneKind(name, lambda _settings: None, lambda _names: ())
    return StoreKind(name, lambda _settings: None)


def installed(name, module, distribution="acme-plugin"):
    """Return an entry point that loads `module`."""
    return InstalledPlugin(name, f"{name}.plugin", distribution, "1.0", lambda: module)


def module(**members):
    """Return a module with these members."""
    made = types.ModuleType("acme.plugin")
    vars(made).update(members)
    return made


def dataplanes(*answers):
    """Return a hook that hands `answers` over, and counts its calls."""

    @hookimpl
    def spale_register_dataplanes():
        spale_register_dataplanes.calls += 1
        return answers

    spale_register_dataplanes.calls = 0
    return spale_register_dataplanes


def test_an_offer_is_found_by_name():
    """The configuration's word leads to the plugin's offer."""
    tc = offer("tc")
    loaded = Plugins(["tc"], [installed("tc", module(spale_register_dataplanes=dataplanes(tc)))])
    assert loaded.dataplane("tc") is tc
    assert loaded.dataplanes() == (tc,)


def test_a_hook_is_called_once():
    """However often its offers are asked for."""
    hook = dataplanes(offer("tc"))
    loaded = Plugins(["tc"], [installed("tc", module(spale_register_dataplanes=hook))])
    for _ in range(3):
        loaded.dataplane("tc")
    assert hook.calls == 1


def test_only_what_is_named_is_loaded():
    """A plugin that is installed but not configured does not run."""

    def explode():
        raise AssertionError

    bystander = InstalledPlugin("other", "other.plugin", "other", "1.0", explode)
    assert Plugins([], [bystander]).dataplanes() == ()


def test_a_missing_plugin_is_named_with_the_remedy():
    """Which command would install it, and what is installed instead."""
    with pytest.raises(PluginError) as caught:
        Plugins(["xdp"], [installed("tc", module(), "spale-tc")])
    assert "pip install spale-xdp" in str(caught.value)
    assert "tc (spale-tc 1.0)" in str(caught.value)


def test_a_name_that_two_distributions_provide():
    """Neither is chosen."""
    both = [installed("tc", module(), "spale-tc"), installed("tc", module(), "evil-tc")]
    with pytest.raises(PluginError, match=r"spale-tc 1\.0 and evil-tc 1\.0"):
        Plugins(["tc"], both)


def test_a_name_that_two_plugins_offer():
    """Neither wins, though pluggy would let the last one."""
    both = [
        installed(name, module(spale_register_dataplanes=dataplanes(offer("tc")))) for name in ("tc", "acme")
    ]
    with pytest.raises(PluginError, match="offered twice"):
        Plugins(["tc", "acme"], both).dataplane("tc")


def test_a_plugin_that_offers_something_else():
    """Says what it offers instead."""
    loaded = Plugins(["tc"], [installed("tc", module(spale_register_dataplanes=dataplanes(offer("ct"))))])
    with pytest.raises(PluginError, match="no DataplaneKind of that name, but ct"):
        loaded.dataplane("tc")


def test_an_offer_of_the_wrong_kind():
    """A hook hands over what it is for."""
    wrong = dataplanes(offer("tc", StoreKind))
    loaded = Plugins(["tc"], [installed("tc", module(spale_register_dataplanes=wrong))])
    with pytest.raises(PluginError, match="not a DataplaneKind"):
        loaded.dataplane("tc")


@pytest.mark.parametrize("style", ["wrapper", "hookwrapper"])
def test_wrappers_are_refused(style):
    """No plugin may change what another one offers."""

    @hookimpl(**{style: True})
    def spale_register_dataplanes():
        return (yield)

    with pytest.raises(PluginError, match="is a wrapper"):
        Plugins(["tc"], [installed("tc", module(spale_register_dataplanes=spale_register_dataplanes))])


def test_an_unknown_hook_is_refused():
    """A misspelt hook would silently never be called."""

    @hookimpl
    def spale_register_dataplains():
        return ()

    with pytest.raises(PluginError, match="spale_register_dataplains"):
        Plugins(["tc"], [installed("tc", module(spale_register_dataplains=spale_register_dataplains))])


def test_a_forgotten_marker_is_refused():
    """So would a hook without its marker."""

    def spale_register_dataplanes():
        return ()

    with pytest.raises(PluginError, match="not marked with @hookimpl"):
        Plugins(["tc"], [installed("tc", module(spale_register_dataplanes=spale_register_dataplanes))])


def test_a_plugin_that_cannot_be_imported():
    """Is named with the reason."""

    def fail():
        raise ImportError("No module named 'bcc'")

    broken = InstalledPlugin("tc", "tc.plugin", "spale-tc", "1.0", fail)
    with pytest.raises(PluginError, match=r"tc \(spale-tc 1\.0\) cannot be loaded: No module named 'bcc'"):
        Plugins(["tc"], [broken])


def test_our_own_are_installed():
    """The workspace's distributions announce themselves."""
    names = {plugin.name: plugin.distribution for plugin in plugins.installed()}
    ours = {"hpke": "spale-crypto-hpke", "memory": "spale-core", "tc": "spale-tc", "xdp": "spale-xdp"}
    assert ours.items() <= names.items()


@pytest.mark.parametrize(
    ("name", "find"),
    [
        ("memory", Plugins.store),
        ("hpke", Plugins.auth_scheme),
        ("tc", Plugins.dataplane),
        ("xdp", Plugins.dataplane),
    ],
)
def test_our_own_keep_the_rules(name, find):
    """And offer what they are called."""
    assert find(Plugins([name]), name).name == name
