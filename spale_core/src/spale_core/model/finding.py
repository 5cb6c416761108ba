# SPDX-License-Identifier: MIT
"""What `spale doctor` finds about a host."""

from __future__ import annotations

import enum

from attrs import frozen


class FindingState(enum.Enum):
    """How good something is for a daemon."""

    OK = "ok"
    WARNING = "warning"
    """A daemon runs, but not as well as it could."""
    MISSING = "missing"
    """No daemon runs without it."""


@frozen
class Finding:
    """What was found about `subject`: a name that does not change, for scripts.

    `words` is a sentence for people, `remedy` the command that mends it, None if there is none, `interface`
    the one that it is about, None if it is the host.
    """

    subject: str
    state: FindingState
    words: str
    remedy: str | None = None
    interface: str | None = None
