# SPDX-License-Identifier: MIT
"""Programs on interfaces, and what they have counted."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from spale_core.model.network import Source


@frozen
class Counter:
    """How often the kernel gave one reason since the maps were made, and the last source."""

    count: int
    last_source: Source | None


@frozen
class Bucket:
    """Whose knocks are counted, of IPv6 the /64, and when nothing of them will count any more."""

    source: Source
    full_ns: int


class AttachMode(enum.Enum):
    """How a program hangs on an interface."""

    TCX = "tcx"
    CLSACT = "clsact"
    XDP_NATIVE = "native"
    XDP_GENERIC = "generic"


@frozen
class Attachment:
    """A program of ours on an interface; `replaced` says that one of ours was there before.

    `note` tells the operator, in words, what is not as he may expect it; empty if all is.
    """

    interface: str
    ifindex: int
    mode: AttachMode
    replaced: bool = False
    note: str = ""


class Outcome(enum.Enum):
    """What became of an attachment that was lost."""

    PUT_BACK = "put back"
    FAILED = "not put back"
    RELEASED = "taken off on purpose"
    GONE = "the interface is gone"


@frozen
class Loss:
    """An attachment that was not as `attach` had left it; `found` says, in words, what was there instead.

    `interface` is what the interface with the number `ifindex` is called by now. `note` says why it could not
    be put back, or what is not as it was. One that was taken off on purpose (``spale detach``), or whose
    interface is gone, is not looked after any more.
    """

    interface: str
    ifindex: int
    found: str
    outcome: Outcome
    note: str = ""
