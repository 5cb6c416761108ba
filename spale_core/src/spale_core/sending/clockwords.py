# SPDX-License-Identifier: MIT
"""Whether this host's clock can be the reason why a port did not open."""

from __future__ import annotations

import sys

_ACCEPTED_S = 30


def clock_words() -> str:
    """Return a sentence about this host's clock if nobody keeps it, else ""; Linux tells."""
    if sys.platform != "linux":
        return ""
    from spale_core.doctor.timex import clock_state  # noqa: PLC0415 - only for a mistake

    state = clock_state()
    if state is None or state.synchronised:
        return ""
    return (
        f"nobody keeps this host's clock (NTP): it may be off by {state.max_error_ms / 1000:.0f} s or more, "
        f"and a server takes knocks that are off by {_ACCEPTED_S} s at most"
    )
