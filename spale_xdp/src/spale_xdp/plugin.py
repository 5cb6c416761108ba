# SPDX-License-Identifier: MIT
"""Offers the dataplane ``xdp``. What no daemon needs is imported when a command asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spale_core.hookspecs import hookimpl
from spale_core.interfaces import DataplaneKind
from spale_xdp.attach import detach, make

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spale_core.interfaces import DataplaneSettings
    from spale_core.model import Finding, Rehearsal, Rehearsed


def _examine(names: Sequence[str]) -> list[Finding]:
    from spale_xdp.examine import examine  # noqa: PLC0415 - see above

    return examine(names)


def _rehearse(settings: DataplaneSettings, rehearsal: Rehearsal) -> list[Rehearsed]:
    from spale_xdp.rehearse import rehearse  # noqa: PLC0415 - see above

    return rehearse(settings, rehearsal)


@hookimpl
def spale_register_dataplanes() -> tuple[DataplaneKind, ...]:
    """Offer enforcement at XDP."""
    return (DataplaneKind("xdp", make, detach, _examine, _rehearse),)
