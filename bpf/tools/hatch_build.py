# SPDX-License-Identifier: MIT
"""Compile the kernel programs before a wheel is made of them, also where only the sdist is.

An editable installation is not held up: there `make -C bpf` compiles when something has changed.
"""
# ruff: noqa: INP001 - what hatchling loads by its path, not a package

from __future__ import annotations

import subprocess
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Compile(BuildHookInterface[Any]):
    """Runs make, which does nothing if nothing has changed."""

    def initialize(self, version: str, _build_data: dict[str, Any]) -> None:
        """Compile, unless `version` is "editable"; hatchling calls this before it looks for files."""
        command = ["make", "--no-print-directory", "--silent", "-C", self.root]
        if version == "standard":
            subprocess.run(command, check=True)
