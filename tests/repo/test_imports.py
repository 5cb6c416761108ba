# SPDX-License-Identifier: MIT
"""Who may import whom: data flows one way, decisions do no I/O, a plugin knows only the core's types."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Source

PLUGIN_API = {"model", "interfaces", "hookspecs", "errors"}
DECISION = {"gate", "replay", "policy", "engine", "reconcile", "ipc", "siphash"} | {
    "ageing",
    "allowlist",
    "epochs",
    "expulsion",
    "holdings",
    "ledger",
    "manual",
    "owners",
    "restore",
    "sessions",
    "tagtable",
    "throttle",
}
NO_DECISION_NEEDS = {"socket", "os", "time", "asyncio", "logging", "random"}
"""Clock, randomness and I/O are arguments of a decision, or not its business."""

DECISION_READS = {"spale_core.config.settings": "the values of a valid configuration: types, no I/O"}
"""Elsewhere in the core, what a decision may import, and why."""

MANAGEMENT_SAYS = {"wire", "answers", "params", "rows", "facts", "methods", "by_hand", "desk"}
"""The part of `control` that decides what is said over the management socket, not when or to whom."""

MANAGEMENT_READS = {
    *(f"spale_core.{name}" for name in ("control", "model", "interfaces", "errors", "clock", "fingerprint")),
    *(
        f"spale_core.config.{name}"
        for name in ("settings", "mistakes", "ports", "files", "addresses", "values")
    ),
    *(
        f"spale_core.{name}"
        for name in ("events", "reload_events", "holdings", "owners", "expulsion", "gate", "manual", "policy")
    ),
}
"""What `control` may import of the core: values and their words, not who makes them."""

PLUGINS = {"spale_bpf", "spale_tc", "spale_xdp", "spale_crypto_hpke"}

FOUNDATION = {
    "model": {"attrs", "spale_core.model"},
    "interfaces": {"attrs", "spale_core.model"},
    "hookspecs": {"pluggy", "spale_core.interfaces"},
    "errors": set(),
    "clock": {"spale_core.model"},
}
"""What each module at the bottom may import besides the standard library."""

ALSO_ALLOWED = {
    (
        "spale_crypto_hpke",
        "siphash",
    ): "the mac: a pure function that the kernel is compared with",
    (
        "spale_bpf",
        "netlink",
    ): "how lists come over netlink: the core reads the sockets so",
    (
        "spale_bpf",
        "bindings",
    ): "where bcc is looked for: the configuration is judged by the same",
}
"""A plugin, a core module that it may import all the same, and why."""


def modules(source: Source) -> set[str]:
    """Return the dotted names that `source` imports."""
    return {imported.module for imported in source.imports}


def core_modules(source: Source) -> set[str]:
    """Return the second part of every ``spale_core.…`` that `source` imports."""
    return {name.split(".")[1] for name in modules(source) if name.startswith("spale_core.")}


def part(shipped: dict[str, Source], name: str) -> list[Source]:
    """Return the core module `name`, or all modules of the core package `name`."""
    whole = f"spale_core.{name}"
    found = [source for module, source in shipped.items() if is_within(module, {whole})]
    assert found, f"{whole} is gone: change this rule with it"
    return found


def is_within(name: str, allowed: set[str]) -> bool:
    """Return whether `name` is one of `allowed` or inside one."""
    return any(name == whole or name.startswith(f"{whole}.") for whole in allowed)


@pytest.mark.parametrize("name", FOUNDATION)
def test_foundation_imports_only_what_lies_below_it(shipped: dict[str, Source], name: str) -> None:
    """The types that all speak in depend on attrs, pluggy and each other downwards, on nothing else."""
    everything = set().union(*(modules(source) for source in part(shipped, name)))
    imported = {module for module in everything if module.split(".")[0] not in sys.stdlib_module_names}
    assert not {module for module in imported if not is_within(module, FOUNDATION[name])}


@pytest.mark.parametrize("name", sorted(DECISION))
def test_decisions_do_no_io(shipped: dict[str, Source], name: str) -> None:
    """A decision gets clock and randomness as arguments, and touches nothing outside."""
    for source in part(shipped, name):
        assert not {module.split(".")[0] for module in modules(source)} & NO_DECISION_NEEDS
        within = {f"spale_core.{name}" for name in PLUGIN_API | DECISION} | set(DECISION_READS)
        ours = {module for module in modules(source) if module.startswith("spale_core.")}
        assert not {module for module in ours if not is_within(module, within)} - {"spale_core.config"}


def test_management_knows_values_only(shipped: dict[str, Source]) -> None:
    """What answers commands is given what it shows; the monitor knows it, and no decision does."""
    for source in part(shipped, "control"):
        ours = {module for module in modules(source) if module.startswith("spale_core.")}
        strange = {module for module in ours if not is_within(module, MANAGEMENT_READS)}
        assert not strange - {"spale_core.config"}


@pytest.mark.parametrize("name", sorted(MANAGEMENT_SAYS))
def test_what_is_said_over_the_socket_does_no_io(shipped: dict[str, Source], name: str) -> None:
    """Sans-IO: a test needs neither a socket nor a clock for it."""
    for source in part(shipped, f"control.{name}"):
        assert not {module.split(".")[0] for module in modules(source)} & NO_DECISION_NEEDS


def test_monitor_and_listener_do_not_know_each_other(shipped: dict[str, Source]) -> None:
    """What reads the network and what owns the privileges meet only in messages."""
    monitor, listener = (part(shipped, name) for name in ("monitor", "listener"))
    assert all("listener" not in core_modules(source) for source in monitor)
    assert all("monitor" not in core_modules(source) for source in listener)
    assert any("reconcile" in core_modules(source) for source in monitor)
    assert any("engine" in core_modules(source) for source in listener)


def test_plugins_know_only_the_cores_types(shipped: dict[str, Source]) -> None:
    """A plugin imports model, interfaces, hookspecs and errors of the core, and no other plugin."""
    for module, source in shipped.items():
        package = module.split(".")[0]
        if package not in PLUGINS:
            continue
        strange = {name for name in core_modules(source) - PLUGIN_API if (package, name) not in ALSO_ALLOWED}
        assert not strange, f"{module} imports {strange} of the core"
        others = {name.split(".")[0] for name in modules(source)} & PLUGINS - {package, "spale_bpf"}
        assert not others, f"{module} imports {others}"


def test_core_imports_no_plugin(shipped: dict[str, Source]) -> None:
    """The core finds its plugins by entry points only, its own included."""
    for module, source in shipped.items():
        if module.split(".")[0] == "spale_core":
            assert not {name.split(".")[0] for name in modules(source)} & PLUGINS, module


def test_only_one_module_knows_libbpf(shipped: dict[str, Source]) -> None:
    """The library is named in `spale_bpf.libbpf` alone, so that another loader can take its place."""
    knowing = {module for module, source in shipped.items() if "libbpf.so" in source.text}
    assert all(is_within(module, {"spale_bpf.libbpf"}) for module in knowing)


def test_pyroute2_is_loaded_where_it_is_used(shipped: dict[str, Source]) -> None:
    """It takes a quarter of a second to load: no command pays for it at its start."""
    for module, source in shipped.items():
        at_start = {imported.module.split(".")[0] for imported in source.imports if imported.at_start}
        assert "pyroute2" not in at_start or is_within(module, {"spale_core.demo"}), module
