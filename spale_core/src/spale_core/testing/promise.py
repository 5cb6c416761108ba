# SPDX-License-Identifier: MIT
"""How a contract says that it was broken."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class BrokenPromiseError(AssertionError):
    """A plugin does not do what its protocol in `spale_core.interfaces` promises."""


def same(actual: object, wanted: object, promise: str) -> None:
    """Raise BrokenPromiseError unless `actual` equals `wanted`."""
    if actual != wanted:
        raise BrokenPromiseError(f"{promise}: expected {wanted!r}, got {actual!r}")


def holds(condition: object, promise: str) -> None:
    """Raise BrokenPromiseError unless `condition` is true."""
    if not condition:
        raise BrokenPromiseError(promise)


def raises(error: type[Exception], action: Callable[[], object], promise: str) -> None:
    """Raise BrokenPromiseError unless `action` raises `error`."""
    try:
        action()
    except error:
        return
    raise BrokenPromiseError(f"{promise}: expected {error.__name__}, got no error")
