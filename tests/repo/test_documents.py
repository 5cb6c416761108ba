# SPDX-License-Identifier: MIT
"""Documents that cannot fall behind: every page reachable, every decision listed, every hook described."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

import yaml

from spale_core import hookspecs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DECISION = re.compile(r"(?P<number>\d{4})-[a-z0-9\-]+\.md")
FRAGMENT = re.compile(r"(\d+)\.(added|changed|fixed|removed|security)(\.\d+)?\.md")


def pages(nav: list[Any]) -> Iterator[str]:
    """Yield every page in the navigation `nav` of mkdocs."""
    for entry in nav:
        for value in entry.values() if isinstance(entry, dict) else (entry,):
            if isinstance(value, str):
                yield value
            else:
                yield from pages(value)


def test_every_page_is_in_the_navigation(root: Path) -> None:
    """A page that nobody can reach is not documentation. The decisions have an index of their own."""
    nav = yaml.safe_load((root / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    written = {str(path.relative_to(root / "docs")) for path in (root / "docs").rglob("*.md")}
    decisions = {name for name in written if name.startswith("adr/") and name != "adr/README.md"}
    assert set(pages(nav)) == written - decisions


def test_every_decision_is_in_the_index(root: Path) -> None:
    """docs/adr/README.md lists each decision with its title, and no number stands for two."""
    folder = root / "docs" / "adr"
    index = (folder / "README.md").read_text(encoding="utf-8")
    numbers = []
    for path in sorted(folder.glob("*.md")):
        if path.name == "README.md":
            continue
        named = DECISION.fullmatch(path.name)
        assert named, path.name
        numbers.append(int(named["number"]))
        title = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        assert title.startswith(f"{named['number']}: "), path.name
        assert f"[{title}]({path.name})" in index
    assert len(numbers) == len(set(numbers))


def test_every_decision_has_its_parts(root: Path) -> None:
    """A decision says what was asked, what was decided, and what follows."""
    for path in (root / "docs" / "adr").glob("0*.md"):
        headings = re.findall(r"^## (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert headings == ["Question", "Decision", "Consequences"], path.name


def test_every_fragment_is_well_formed(root: Path) -> None:
    """changes/ holds ISSUE.KIND.md with whole sentences for users, and nothing else."""
    for path in (root / "changes").glob("*"):  # just after a release there is no such folder
        assert FRAGMENT.fullmatch(path.name), path.name
        text = path.read_text(encoding="utf-8")
        assert text.strip().endswith("."), path.name
        assert not text.lstrip().startswith(("#", "-", "*")), path.name


def test_every_hook_is_documented(root: Path) -> None:
    """docs/hooks.md has each hook with its signature, and none that is gone."""
    text = (root / "docs" / "hooks.md").read_text(encoding="utf-8")
    hooks = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("spale_")}
    assert set(re.findall(r"\bspale_(?:register|add)_\w+", text)) == set(hooks)
    for name, hook in hooks.items():
        assert f"{name}{inspect.signature(hook)}".replace("'", "") in text


def test_the_reader_is_told_the_two_commands_first(root: Path) -> None:
    """README.md begins with `make demo` and `make test`."""
    first = "\n".join((root / "README.md").read_text(encoding="utf-8").splitlines()[:15])
    assert "make demo" in first
    assert "make test" in first
