# SPDX-License-Identifier: MIT
"""Why a daemon ends, with which exit code, and whether it opens what it has shut."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from spale_core.config.settings import OnExit

if TYPE_CHECKING:
    from spale_core.config.settings import Settings


@frozen
class Ending:
    """`cause` is the word in the log; what is attached is detached if it `opens`."""

    cause: str
    opens: bool
    exit_code: int = field(default=0)


UNCONFIRMED: Final = Ending("trial", opens=True, exit_code=os.EX_TEMPFAIL)
"""Nobody has confirmed a trial in time."""

DETACHED: Final = Ending("detached", opens=False)
"""`spale detach` has opened everything: a daemon that went on would only look like protection."""


def by_signal(number: signal.Signals, settings: Settings, *, on_trial: bool) -> Ending:
    """Return how a signal ends the daemon; whoever locked themselves out on trial gets in again."""
    opens = number is signal.SIGINT or settings.on_exit is OnExit.DETACH or on_trial
    return Ending(number.name, opens)
