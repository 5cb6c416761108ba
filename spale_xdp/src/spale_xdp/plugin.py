# SPDX-License-Identifier: MIT
"""Offers the dataplane ``xdp``."""

from __future__ import annotations

from spale_core.hookspecs import hookimpl
from spale_core.interfaces import DataplaneKind
from spale_xdp.attach import detach, make


@hookimpl
def spale_register_dataplanes() -> tuple[DataplaneKind, ...]:
    """Offer enforcement at XDP."""
    return (DataplaneKind("xdp", make, detach),)
