# SPDX-License-Identifier: MIT
"""Which distribution a module of an artefact belongs to: one whose metadata is inside, or one installed here.

The environment in which SBOMs are made has the packages of requirements/base.txt, in the versions that the
artefacts are built with.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from sbom.distributions import Distribution
from sbom.parts import UnknownOriginError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Tops = Mapping[str, list[str]]
"""Distributions by the modules that they install."""


class Modules:
    """The distributions inside an artefact, and others as far as they are asked for."""

    def __init__(self, inside: Iterable[Distribution], tops: Tops) -> None:
        """Know those whose metadata is inside, and who installs which module in `tops`."""
        self._tops = tops
        self._inside = {each.name: each for each in inside}
        self._files = {path: each for each in self._inside.values() for path in each.owned}

    def owner(self, name: str) -> Distribution | None:
        """Return the distribution of the file `name`, None if it is of none."""
        if name in self._files:
            return self._files[name]
        top = name.removeprefix("./").split("/")[0].partition(".")[0]
        for candidate in self._tops.get(top, ()):
            return self._inside.get(canonicalize_name(candidate)) or self.installed(candidate)
        return self._inside.get(canonicalize_name(top))

    def owners(self, names: Iterable[str]) -> Iterator[Distribution]:
        """Yield the distribution of each module in `names` that is not Python's own."""
        tops = {name.split("/")[0].partition(".")[0] for name in names if name.endswith(".pyc")}
        for top in sorted(tops - sys.stdlib_module_names):
            if is_of_pyinstaller(top) or is_of_python(top):
                continue
            found = self.owner(f"{top}.pyc")
            if found is None:
                raise UnknownOriginError(f"the module {top} is of no distribution inside or installed")
            yield found

    def installed(self, name: str) -> Distribution:
        """Return the distribution `name` of this environment; raise UnknownOriginError if it has none."""
        try:
            text = metadata.distribution(name).read_text("METADATA")
        except metadata.PackageNotFoundError:
            text = None
        if text is None:
            raise UnknownOriginError(f"{name} is not installed here, so nobody can say which version it is")
        return Distribution({}, "", text.encode())


def is_of_pyinstaller(top: str) -> bool:
    """Tell whether a module is one that PyInstaller adds."""
    return top.startswith(("pyimod", "_pyi", "pyi_"))


def is_of_python(top: str) -> bool:
    """Tell whether a module is Python's own, but different on each system."""
    return top.startswith("_sysconfigdata")


def installed_tops() -> Tops:
    """Return the distributions of this environment, by the modules that they install; each once."""
    return {top: list(dict.fromkeys(names)) for top, names in metadata.packages_distributions().items()}
