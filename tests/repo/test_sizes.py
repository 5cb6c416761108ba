# SPDX-License-Identifier: MIT
"""Small enough to read at once: modules, functions."""

from __future__ import annotations

import ast
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from conftest import Source

MODULE_LINES = 300
FUNCTION_LINES = 60
MEDIAN_LINES = 10

GENERATED = {"spale_bpf._abi": "written by `nox -s abi` from the objects' BTF"}
"""Modules that nobody reads from top to bottom, and why."""


def functions(sources: Iterable[Source]) -> Iterator[tuple[str, int]]:
    """Yield every function of `sources` as ``file:line name``, with its number of lines."""
    for source in sources:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                yield f"{source.path.name}:{node.lineno} {node.name}", lines


def test_no_module_is_long(sources: tuple[Source, ...]) -> None:
    """No Python file, tests included, has 300 lines or more."""
    written = {source.path: source.text.splitlines() for source in sources if source.module not in GENERATED}
    long = {str(path): len(lines) for path, lines in written.items() if len(lines) >= MODULE_LINES}
    assert not long


def test_no_function_is_long(sources: tuple[Source, ...]) -> None:
    """No function, tests included, has more than 60 lines."""
    assert not {name: lines for name, lines in functions(sources) if lines > FUNCTION_LINES}


def test_most_functions_are_short(shipped: dict[str, Source]) -> None:
    """Half of the functions that users install have at most 10 lines, docstring included."""
    assert median(lines for _, lines in functions(shipped.values())) <= MEDIAN_LINES


def test_no_module_is_a_drawer(sources: tuple[Source, ...]) -> None:
    """A module is named after what is in it."""
    drawers = {"utils.py", "util.py", "helpers.py", "misc.py", "common.py"}
    assert not [source.path for source in sources if source.path.name in drawers]
