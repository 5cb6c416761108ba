# SPDX-License-Identifier: MIT
"""What must not be in the repository: addresses of one place, silenced checks without a reason, sleeps."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from conftest import Source

# A letter in brackets here and there, so that a pattern does not find itself.
PLACES = {
    "a package registry": re.compile(
        r"py[p]i\.org|python[h]osted|registry\.[n]pm|deb\.[d]ebian|archive\.[u]buntu|index-[u]rl|find-[l]inks"
    ),
    "a package file": re.compile(r"https?://\S+(\.whl|\.tar\.gz|\.deb)\b"),
    "a folder of one machine": re.compile(r"(?<![\w.])/(wor[k]|far[m]|roo[t]|home/\w+)/\w"),
}
ALLOWED = {
    **{
        (name, "find-" + "links"): "a folder of this repository or of a test, no address"
        for name in ("README.md", "docs/installing.md", "tests/release/test_wheels.py")
    },
    ("noxfile.py", "index-" + "url"): "the option that keeps the address out of the lock files",
}
"""A file, words that its line contains, and why it may."""

SILENCED = re.compile(r"#\s*(noqa|type:\s*ignore|pragma:\s*no cover|shellcheck disable)(?P<rest>.*)")
REASON = re.compile(r"(?:[:\[=][\w\-, \]]*?)?\s(?:- |# )\w.{2,}")
PATCHING = re.compile(r"\b[m]ock\.patch|from unittest import [m]ock|from unittest\.[m]ock")


def found(
    pattern: re.Pattern[str], texts: Iterable[tuple[str, str]]
) -> Iterator[tuple[str, str, re.Match[str]]]:
    """Yield file and line number, the line and the match, for each line in which `pattern` is."""
    for name, text in texts:
        for number, line in enumerate(text.splitlines(), 1):
            if match := pattern.search(line):
                yield f"{name}:{number}", line.strip(), match


def allowed(place: str, line: str) -> bool:
    """Return whether ALLOWED has a reason for `line` at `place`."""
    return any(place.startswith(f"{name}:") and words in line for name, words in ALLOWED)


@pytest.mark.parametrize("place", PLACES)
def test_no_file_names_a_place(texts: dict[str, str], place: str) -> None:
    """Nothing committed depends on, or tells of, where it was made."""
    hits = found(PLACES[place], texts.items())
    assert not [(where, line[:80]) for where, line, _ in hits if not allowed(where, line)]


def test_every_silenced_check_has_its_reason(texts: dict[str, str]) -> None:
    """A `noqa`, a `type: ignore` and the like say why, on the same line."""
    code = [(name, text) for name, text in texts.items() if name.endswith((".py", ".sh"))]
    assert not [
        (where, line) for where, line, match in found(SILENCED, code) if not REASON.match(match["rest"])
    ]


def test_the_reason_is_wanted() -> None:
    """The pattern above tells a reason from a bare code."""
    for good in (
        ": S104 - a knock may",
        ": S104, B007 - so it is",
        "[arg-type]  # as C sees it",
        "=SC2094 # it is",
    ):
        assert REASON.match(good), good
    for bad in ("", ": S104", "[arg-type]", ": S104 -", ": ANN401, S603"):
        assert not REASON.match(bad), bad


def test_no_test_patches(sources: tuple[Source, ...]) -> None:
    """A test uses fakes that pass the contract of the real thing."""
    tests = [(source.path.name, source.text) for source in sources if source.module is None]
    assert not [(where, line) for where, line, _ in found(PATCHING, tests)]


def sleeps(node: ast.AST) -> Iterator[int]:
    """Yield the line of each sleep in `node`, but for the pauses of a function called `until`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call) and ast.unparse(child.func).split(".")[-1] == "sleep":
            yield child.lineno
        if not (isinstance(child, ast.FunctionDef) and child.name == "until"):
            yield from sleeps(child)


def test_no_test_sleeps(sources: tuple[Source, ...]) -> None:
    """A test polls with a deadline: nothing sleeps but `until`, between two looks."""
    tests = [source for source in sources if source.module is None]
    assert not [f"{source.path.name}:{line}" for source in tests for line in sleeps(source.tree)]
