# SPDX-License-Identifier: MIT
"""What is fetched: from PyPI only by hash, from a distribution only as its signatures allow, else nothing."""

from __future__ import annotations

import ast
import re
import tomllib
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Source

    Projects = dict[str, dict[str, Any]]

PIN = re.compile(r"(?P<name>[\w.\-]+)==(?P<version>[\w.+!]+)( ; [^\\]+)? \\")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")

HARMLESS = ({"--require-hashes"}, {"--no-index"}, {"--no-deps", "--no-build-isolation"})
"""One of these sets of options is there wherever pip installs or downloads, so all is pinned."""

UNSIGNED = re.compile(
    r"allow-unauthenticate[d]|allow-insecur[e]|trusted=ye[s]|trusted-hos[t]"
    r"|\b(cur[l]|wge[t])\s+-|urlope[n]|urlretriev[e]"
)
"""Ways to fetch what nobody has signed; a letter in brackets, so that the pattern does not find itself."""


def pins(path: Path) -> dict[str, str]:
    """Return what a file of requirements pins; fail if a line is neither pin, hash nor comment."""
    found = {}
    hashed = True
    for line in path.read_text(encoding="utf-8").splitlines():
        if match := PIN.fullmatch(line):
            assert hashed, f"{path.name}: no hash before {line}"
            found[match["name"]], hashed = match["version"], False
        elif HASH.fullmatch(line):
            hashed = True
        else:
            assert line.startswith("#"), f"{path.name}: {line}"
    assert hashed
    return found


@pytest.fixture(scope="module")
def pinned(root: Path) -> dict[str, dict[str, str]]:
    """Return all pins, by the name of the file."""
    return {path.stem: pins(path) for path in sorted((root / "requirements").glob("*.txt"))}


def test_every_requirement_is_a_pin_with_hashes(pinned: dict[str, dict[str, str]]) -> None:
    """No address, no version range, no folder, no option that changes where packages come from."""
    assert set(pinned) == {"base", "dev", "release"}
    assert all(pinned.values())


def test_make_lock_pins_all(root: Path, pinned: dict[str, dict[str, str]]) -> None:
    """Each file of wishes has its file of pins, and is named in the session that writes it."""
    assert {path.stem for path in (root / "requirements").glob("*.in")} == set(pinned)
    lock = (root / "noxfile.py").read_text(encoding="utf-8").partition("def lock(")[2]
    assert all(f'"{name}"' in lock for name in pinned)


def test_what_is_released_is_what_was_tested(pinned: dict[str, dict[str, str]]) -> None:
    """A package that several files pin has one version."""
    for name, version in pinned["base"].items():
        assert {pinned["dev"].get(name), pinned["release"].get(name)} == {version}, name


def test_build_backends_are_pinned(
    root: Path, packages: dict[str, str], pinned: dict[str, dict[str, str]]
) -> None:
    """Builds are not isolated: what builds is what was installed by hash."""
    for folder in packages:
        project = tomllib.loads((root / folder / "pyproject.toml").read_text(encoding="utf-8"))
        wanted = {re.split(r"[<>=~! ]", each)[0] for each in project["build-system"]["requires"]}
        assert wanted <= set(pinned["base"]), folder


def test_no_build_fetches_its_backend(root: Path, sources: tuple[Source, ...]) -> None:
    """`python -m build` is told so wherever it is called."""
    isolated = [
        f"{source.path.relative_to(root)}: {name}"
        for source in sources
        for name, said in functions(source.tree)
        if {"-m", "build"} <= said and "--no-isolation" not in said
    ]
    assert not [place for place in isolated if not place.startswith("tests/repo/")]


def functions(tree: ast.Module) -> Iterator[tuple[str, set[str]]]:
    """Yield name and all words of each function, and those of a module outside of functions."""
    inside: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            inside.update(id(each) for each in ast.walk(node))
            yield node.name, words(ast.walk(node))
    yield "the module", words(node for node in ast.walk(tree) if id(node) not in inside)


def words(nodes: Iterator[ast.AST]) -> set[str]:
    """Return the strings in `nodes`, and `pip install` for what nox calls so."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "session.install":
            found |= {"pip", "install"}
    return found


def test_pip_gets_nothing_that_is_not_pinned(root: Path, sources: tuple[Source, ...]) -> None:
    """In sessions, tools and tests; a shell script says it on the same line."""
    loose = [
        f"{source.path.relative_to(root)}: {name}"
        for source in sources
        if source.module is None and source.path.parent != root / "tests/repo"
        for name, said in functions(source.tree)
        if "pip" in said and said & {"install", "download", "wheel"}
        if not any(options <= said for options in HARMLESS)
    ]
    scripts = [root / ".ci/run", root / "Makefile", *(root / "tools").rglob("*.sh")]
    lines = [line for path in scripts for line in path.read_text(encoding="utf-8").splitlines()]
    installing = [line for line in lines if re.search(r"\bpip\b.*\b(install|download)\b", line)]
    loose += [line for line in installing if not any(options <= set(line.split()) for options in HARMLESS)]
    assert not loose


def test_nothing_else_is_fetched(texts: dict[str, str]) -> None:
    """Neither by other ways than pip and apt, nor past apt's signatures."""
    code = (".py", ".sh", "Makefile", ".ci/run")
    found = [name for name, text in texts.items() if name.endswith(code) and UNSIGNED.search(text)]
    assert not found
