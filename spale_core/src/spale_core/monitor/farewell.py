# SPDX-License-Identifier: MIT
"""Listeners that a reload has left without a task: they say what they have read, and end.

Knocks that such a one has taken from the sockets nobody else will see. It speaks of clients as its own
configuration numbers them, and what it says is judged by the configuration that is in force (docs/adr/0075).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from attrs import evolve, frozen

from spale_core import events
from spale_core.clock import read
from spale_core.ipc import IpcError
from spale_core.model import Reason, Refused

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spale_core.config.settings import Settings
    from spale_core.model import Claim
    from spale_core.monitor.generation import Generation
    from spale_core.monitor.ground import Ground
    from spale_core.monitor.supervisor import Supervisor

PATIENCE_S: Final = 1.0
"""How long a listener may take to say what it has read; then it is killed at the next tick."""


@frozen
class _Leaving:
    generation: Generation
    deadline_s: float


class Farewells:
    """Hears the listeners that are to end."""

    def __init__(self, ground: Ground) -> None:
        """Begin with none."""
        self._ground = ground
        self._leaving: list[_Leaving] = []

    def begin(self, generation: Generation) -> None:
        """Let the listener of `generation` end; its dataplane is the caller's business."""
        if generation.supervisor.dismiss():
            self._leaving.append(_Leaving(generation, time.monotonic() + PATIENCE_S))

    def hear(self, supervisor: object, current: Generation) -> bool:
        """Take in what one of them has said, and judge it by `current`; return whether it was one of them."""
        leaving = next((each for each in self._leaving if each.generation.supervisor is supervisor), None)
        if leaving is None:
            return False
        try:
            claims = leaving.generation.hear()
        except IpcError as error:
            self._end(leaving, str(error))
        else:
            if claims:
                self._ground.attempt("claims", lambda: self._judge(claims, leaving.generation, current))
        return True

    def end_the_late(self) -> None:
        """Kill those that have not ended in time."""
        for leaving in [each for each in self._leaving if time.monotonic() > each.deadline_s]:
            self._end(leaving, "it did not end in time")

    def close(self) -> None:
        """Kill them all."""
        while self._leaving:
            self._leaving.pop().generation.supervisor.end()

    def _end(self, leaving: _Leaving, cause: str) -> None:
        self._leaving.remove(leaving)
        supervisor: Supervisor = leaving.generation.supervisor
        pid, status = supervisor.pid, supervisor.end()
        if status != "exit status 0":
            words = f"the listener from before it, process {pid}: {cause} ({status}); knocks may be lost"
            self._ground.log.emit(events.Failed(doing="reload", message=words))

    def _judge(self, claims: Iterable[Claim], theirs: Generation, ours: Generation) -> None:
        numbers = _numbers(theirs.settings, ours.settings)
        known = []
        for claim in claims:
            number = numbers.get(claim.client)
            if number is None:
                self._refuse(claim, Reason.CLIENT_REMOVED, theirs)
            elif ours.settings.require_source_binding and not claim.bound:
                self._refuse(claim, Reason.UNBOUND, theirs)
            else:
                known.append(evolve(claim, client=number))
        if known:
            ours.judge(known)

    def _refuse(self, claim: Claim, reason: Reason, theirs: Generation) -> None:
        """Refuse; the datagram counts as used all the same (docs/adr/0035)."""
        store, key = self._ground.store, theirs.settings.clients[claim.client].public_key
        theirs.reporter.refused(Refused(reason, claim.source, claim.client))
        with store.transaction():
            store.remember(key, claim.enc, claim.unix_ms, read(self._ground.clock).unix_ms)


def _numbers(theirs: Settings, ours: Settings) -> dict[int, int]:
    """Return which of our clients each of theirs is: the one with the same key and the same scheme."""
    known = {(client.public_key, client.auth): number for number, client in enumerate(ours.clients)}
    pairs = ((number, known.get((each.public_key, each.auth))) for number, each in enumerate(theirs.clients))
    return {number: ours_ for number, ours_ in pairs if ours_ is not None}
