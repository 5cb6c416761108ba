# SPDX-License-Identifier: MIT
"""`spale run --trial`: a daemon that opens again unless somebody confirms that they still get in.

Whoever locks themselves out cannot confirm; so all that ends an unconfirmed trial, but for an error or
SIGKILL, opens the ports (docs/adr/0096).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spale_core.errors import UsageError
from spale_core.manual_events import TrialEnded

if TYPE_CHECKING:
    from spale_core.clock import Clock
    from spale_core.log import Log

_NS_PER_S = 1_000_000_000
_MS_PER_S = 1000


class Trial:
    """The time until which a confirmation must have come; none if this is no trial."""

    def __init__(self, trial_s: int | None, clock: Clock, log: Log) -> None:
        """Try for `trial_s` seconds, None for no trial; they count from `begin` on."""
        self._trial_s = trial_s
        self._clock = clock
        self._log = log
        self._until_ns: int | None = None
        self.until_unix_ms: int | None = None

    @property
    def is_on(self) -> bool:
        """Tell whether a confirmation is waited for."""
        return self._until_ns is not None

    @property
    def is_over(self) -> bool:
        """Tell whether it did not come in time."""
        return self._until_ns is not None and self._clock.monotonic_ns() >= self._until_ns

    @property
    def left_s(self) -> int | None:
        """Return how many seconds are left, rounded up, None if nothing is waited for."""
        if self._until_ns is None:
            return None
        return -(-max(0, self._until_ns - self._clock.monotonic_ns()) // _NS_PER_S)

    def begin(self) -> None:
        """Wait from now on, if this is a trial."""
        if self._trial_s is not None:
            self._until_ns = self._clock.monotonic_ns() + self._trial_s * _NS_PER_S
            self.until_unix_ms = self._clock.unix_ms() + self._trial_s * _MS_PER_S

    def confirm(self) -> None:
        """Let everything stay; raise UsageError if nothing is waited for."""
        if self._trial_s is None:
            raise UsageError("there is no trial: this daemon was started without --trial")
        if self._until_ns is None:
            raise UsageError("there is no trial any more: it was confirmed already")
        self._end("confirmed")

    def give_up(self) -> None:
        """Say that nobody has confirmed it, if somebody should have; the ports are to be opened."""
        if self._until_ns is not None:
            self._end("unconfirmed")

    def _end(self, how: str) -> None:
        self._until_ns = self.until_unix_ms = None
        self._log.emit(TrialEnded(ended=how))
