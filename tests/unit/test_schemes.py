# SPDX-License-Identifier: MIT
"""A client finds its scheme in the files that installers leave, without asking `importlib.metadata`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from spale_core.errors import PluginError
from spale_core.schemes import find_scheme

if TYPE_CHECKING:
    from pathlib import Path

MODULE = """
from spale_core.interfaces import AuthScheme

def spale_register_auth_schemes():
    return (AuthScheme("odd", None, lambda key_file: {word!r}),)
"""


def install(folder: Path, distribution: str, module: str, value: str | None = None) -> None:
    """Leave what an installer leaves of a distribution whose plugin ``odd`` is `module`."""
    info = folder / f"{distribution}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[console_scripts]\nodd = nothing:here\n\n[spale]\nother = nothing\nodd = {value or module}\n"
    )
    (folder / f"{module}.py").write_text(MODULE.format(word=module))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of modules; what is imported from it is forgotten in the end."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path / "later"))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    yield tmp_path / "site"
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_plugin_beside_the_modules(site: Path) -> None:
    """Its group and its name are what counts."""
    install(site, "odd_distribution", "odd_one")
    assert find_scheme("odd").make_requester(b"") == "odd_one"


def test_a_distribution_that_is_there_twice_counts_once(site: Path) -> None:
    """The first on the path is what Python would import too."""
    install(site, "odd_distribution", "odd_two")
    install(site.parent / "later", "odd_distribution", "odd_three")
    assert find_scheme("odd").make_requester(b"") == "odd_two"


def test_two_plugins_of_one_name(site: Path) -> None:
    """Nobody decides between two distributions."""
    install(site, "first_distribution", "odd_four")
    install(site, "second_distribution", "odd_five")
    with pytest.raises(PluginError, match="2 plugins 'odd' are installed"):
        find_scheme("odd")


def test_what_is_written_unusually_is_left_to_python(site: Path) -> None:
    """Such as extras behind the module."""
    install(site, "odd_distribution", "odd_six", "odd_six [extra]")
    assert find_scheme("odd").make_requester(b"") == "odd_six"


def test_a_plugin_that_is_broken(site: Path) -> None:
    """It is named."""
    install(site, "odd_distribution", "odd_seven")
    (site / "odd_seven.py").write_text("import nothing_of_that_name\n")
    with pytest.raises(PluginError, match=r"'odd' \(odd_seven\) cannot be loaded"):
        find_scheme("odd")
