# SPDX-License-Identifier: MIT
"""The names of `spale_core.model`, which are loaded when they are asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from spale_core import model


def test_every_name_is_somewhere() -> None:
    """What the package says that it has, it has, and no module's name is forgotten."""
    assert sorted(name for names in model._MODULES.values() for name in names) == sorted(model.__all__)
    for name in model.__all__:
        assert getattr(model, name) is not None


def test_a_name_that_is_none() -> None:
    """Is told as by any module."""
    with pytest.raises(AttributeError, match="has no attribute 'Nonsense'"):
        model.Nonsense  # noqa: B018 - asking is the test


def test_only_what_is_asked_for_is_loaded() -> None:
    """A client waits for two values, not for all."""
    code = "import sys; from spale_core.model import Source; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    loaded = {name for name in done.stdout.split() if name.startswith("spale_core.model.")}
    assert loaded == {"spale_core.model.network"}
