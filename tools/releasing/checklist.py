# SPDX-License-Identifier: MIT
"""A checklist: what was checked, and what is wrong with it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class Check(NamedTuple):
    """One promise, and in how many ways it is not kept."""

    promise: str
    wrong: list[str]


def print_all(checks: Iterable[Check]) -> bool:
    """Print all with a tick or a cross, and what is wrong below; return whether all is right."""
    right = True
    for promise, wrong in checks:
        right = right and not wrong
        sys.stdout.write(f"{'✗' if wrong else '✓'} {promise}\n")
        sys.stdout.writelines(f"    {line}\n" for line in wrong)
    return right
