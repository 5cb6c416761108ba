# SPDX-License-Identifier: MIT
"""The five distributions: one version, whole metadata, dependencies that are declared and used."""

from __future__ import annotations

import re
import sys
from importlib.metadata import EntryPoint
from importlib.metadata import distribution as metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Source

    Projects = dict[str, dict[str, Any]]

ALIASES = {"attr": "attrs"}
"""Distribution of an import name, where it is not the name itself with hyphens."""

FOUND_BY_ENTRY_POINT = {"spale-crypto-hpke"}
"""Declared and never imported, on purpose: the core's own authenticator is a plugin like any other."""


def names(requirements: list[str]) -> set[str]:
    """Return the names of the distributions in `requirements`."""
    return {match[0] for requirement in requirements if (match := re.match(r"[\w.\-]+", requirement))}


def distribution(top: str) -> str:
    """Return the distribution that installs the package `top`."""
    return ALIASES.get(top, top).replace("_", "-")


def third_party(source: Source) -> set[str]:
    """Return the distributions that `source` imports, the standard library left out."""
    tops = {imported.module.split(".")[0] for imported in source.imports}
    return {distribution(top) for top in tops if top and top not in sys.stdlib_module_names}


def declared(project: dict[str, Any]) -> set[str]:
    """Return all dependencies of `project`, those of its extras too."""
    extras = project.get("optional-dependencies", {}).values()
    return names(project["dependencies"]).union(*(names(extra) for extra in extras))


def test_all_have_one_version(projects: Projects) -> None:
    """The five move together, and each wants exactly its own version of the others."""
    versions = {project["version"] for project in projects.values()}
    assert len(versions) == 1
    version = versions.pop()
    for project in projects.values():
        ours = [wanted for wanted in project["dependencies"] if wanted.startswith("spale-")]
        assert all(wanted.endswith(f"=={version}") for wanted in ours)


def test_every_distribution_is_whole(packages: dict[str, str], projects: Projects, root: Path) -> None:
    """Each has a README that says something, is typed, and states Python and licence."""
    for folder, package in packages.items():
        project = projects[package]
        assert len((root / folder / project["readme"]).read_text(encoding="utf-8").splitlines()) > 5, folder
        assert (root / folder / "src" / package / "py.typed").exists()
        assert project["requires-python"] == ">=3.11"
        assert project["license"]
        assert project["description"]


def test_imports_are_declared_and_declarations_used(projects: Projects, shipped: dict[str, Source]) -> None:
    """A distribution depends on what it imports, and on nothing that it does not."""
    for package, project in projects.items():
        ours = [source for module, source in shipped.items() if module.split(".")[0] == package]
        imported = set().union(*(third_party(source) for source in ours)) - {distribution(package)}
        assert imported - declared(project) == set(), package
        assert declared(project) - imported <= FOUND_BY_ENTRY_POINT, package


def test_entry_points_resolve(projects: Projects) -> None:
    """Every command and every plugin that a distribution announces is there."""
    for project in projects.values():
        groups = {"console_scripts": project.get("scripts", {}), **project.get("entry-points", {})}
        for group, entries in groups.items():
            for name, value in entries.items():
                assert EntryPoint(name, value, group).load() is not None


def test_installed_entry_points_are_the_declared(projects: Projects) -> None:
    """What is installed here is what the sources say (else: `make venv`)."""
    for project in projects.values():
        installed = {entry.name for entry in metadata(project["name"]).entry_points if entry.group == "spale"}
        assert installed == set(project.get("entry-points", {}).get("spale", {}))


def test_every_requirement_is_pinned_with_hashes(root: Path) -> None:
    """Setting up installs the same files everywhere."""
    for path in sorted((root / "requirements").glob("*.txt")):
        pins = [
            line for line in path.read_text(encoding="utf-8").splitlines() if line and line[0] not in " #"
        ]
        assert pins
        assert all("==" in pin and pin.endswith("\\") for pin in pins), path


def test_what_a_distribution_needs_is_in_the_base_requirements(projects: Projects, root: Path) -> None:
    """`make demo` installs everything that the distributions import, and the builders."""
    base = names((root / "requirements" / "base.txt").read_text(encoding="utf-8").splitlines())
    ours = {project["name"] for project in projects.values()}
    needed = set().union(*(declared(project) for project in projects.values())) - ours
    assert needed | {"hatchling", "editables"} <= base
