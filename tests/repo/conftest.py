# SPDX-License-Identifier: MIT
"""The repository as data: the text of its files, and the Python among them with what they import."""

from __future__ import annotations

import ast
import tomllib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "bpf": "spale_bpf",
    "spale_core": "spale_core",
    "spale_crypto_hpke": "spale_crypto_hpke",
    "spale_tc": "spale_tc",
    "spale_xdp": "spale_xdp",
}
"""Folder of each distribution, and the package that it installs."""


@frozen
class Import:
    """One imported module; `at_start` says that it is loaded together with the module that imports it."""

    module: str
    line: int
    at_start: bool


@frozen(slots=False)
class Source:
    """A Python file of the repository; `module` is its dotted name if it belongs to a distribution."""

    path: Path
    module: str | None
    text: str = field(repr=False)

    @cached_property
    def tree(self) -> ast.Module:
        """Return the syntax tree."""
        return ast.parse(self.text)

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        """Return everything imported; ``from a import b`` counts as both a and a.b."""
        return tuple(_imports(self.tree, at_start=True))


def _imports(node: ast.AST, *, at_start: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, child.lineno, at_start) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            module = child.module or ""
            yield Import(module, child.lineno, at_start)
            yield from (Import(f"{module}.{alias.name}", child.lineno, at_start) for alias in child.names)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from _imports(child, at_start=False)
        else:
            later = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from _imports(child, at_start=at_start and not later)


def _module_name(path: Path) -> str | None:
    parts = path.relative_to(ROOT).with_suffix("").parts
    if len(parts) < 3 or parts[0] not in PACKAGES or parts[1] != "src":
        return None
    return ".".join(parts[2:]).removesuffix(".__init__")


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the top folder."""
    return ROOT


@pytest.fixture(scope="session")
def texts(files: tuple[Path, ...]) -> dict[str, str]:
    """Return the text of every file, by its path from the top."""
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in files}


@pytest.fixture(scope="session")
def sources(files: tuple[Path, ...]) -> tuple[Source, ...]:
    """Return every Python file."""
    python = [path for path in files if path.suffix == ".py"]
    return tuple(Source(path, _module_name(path), path.read_text(encoding="utf-8")) for path in python)


@pytest.fixture(scope="session")
def shipped(sources: tuple[Source, ...]) -> dict[str, Source]:
    """Return the modules that users install, by dotted name."""
    return {source.module: source for source in sources if source.module is not None}


@pytest.fixture(scope="session")
def packages() -> dict[str, str]:
    """Return the folder of each distribution, and the package that it installs."""
    return PACKAGES


@pytest.fixture(scope="session")
def projects() -> dict[str, dict[str, Any]]:
    """Return the ``[project]`` table of each distribution, by the package that it installs."""
    return {
        package: tomllib.loads((ROOT / folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        for folder, package in PACKAGES.items()
    }
