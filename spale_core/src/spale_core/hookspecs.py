# SPDX-License-Identifier: MIT
"""The hooks of a spale plugin. Each is called once, at start, and hands over named offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spale_core.interfaces import AuthScheme, DataplaneKind, StoreKind

PROJECT = "spale"
"""Name of the pluggy project and of the entry-point group."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def spale_register_dataplanes() -> Sequence[DataplaneKind]:
    """Offer enforcers. Called in the monitor, before anything is attached."""
    return ()


@hookspec
def spale_register_auth_schemes() -> Sequence[AuthScheme]:
    """Offer authenticators. Called in the listener before it drops privileges, and in spale-send."""
    return ()


@hookspec
def spale_register_grant_stores() -> Sequence[StoreKind]:
    """Offer grant stores. Called in the monitor."""
    return ()
