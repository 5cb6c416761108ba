# SPDX-License-Identifier: MIT
"""Tells the log what was decided, and what the kernel dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spale_core import events, outcomes, seccomp
from spale_core.fingerprint import fingerprint
from spale_core.holdings import BY_HAND
from spale_core.manual_events import Deauthorized
from spale_core.model import Granted, Reason
from spale_core.start_events import Restored

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from spale_core.ageing import Ended
    from spale_core.config.settings import Settings
    from spale_core.expulsion import Revoked
    from spale_core.log import Log
    from spale_core.model import Attachment, Counter, Refused


class Reporter:
    """Turns decisions and counters into events, with the clients' names."""

    def __init__(self, settings: Settings, log: Log) -> None:
        """Write to `log`; `settings` has the names."""
        self._clients = settings.clients
        self._log = log
        self._counted: dict[Reason, int] = {}

    def listening(self, pid: int) -> None:
        """Tell of a listener that is ready what is missing to it."""
        if seccomp.is_on(pid) is False:
            self._log.emit(events.Warned(message=seccomp.WARNING))

    def attached(self, attachments: Iterable[Attachment]) -> None:
        """Tell where we are, and how."""
        for attachment in attachments:
            self._log.emit(
                events.Attached(
                    interface=attachment.interface,
                    mode=attachment.mode.value,
                    replaced=attachment.replaced,
                    note=attachment.note or None,
                )
            )

    def begin(self, counters: Mapping[Reason, Counter]) -> None:
        """Take what is counted already as told."""
        self._counted = {reason: counter.count for reason, counter in counters.items()}

    def counted(self, counters: Mapping[Reason, Counter]) -> None:
        """Tell what the kernel has counted since the last call: drops, and sessions without room."""
        for reason, counter in counters.items():
            new = counter.count - self._counted.get(reason, 0)
            self._counted[reason] = counter.count
            if new > 0 and reason is Reason.UNTRACKED:
                self._log.emit(events.Untracked(count=new, last_source=counter.last_source))
            elif new > 0:
                self._log.emit(events.Refused(reason=reason, count=new, last_source=counter.last_source))

    def answers(self, answers: Iterable[Granted | Refused]) -> None:
        """Tell what became of claims."""
        for answer in answers:
            if isinstance(answer, Granted):
                client = self._clients[answer.claim.client]
                print_ = fingerprint(client.public_key)
                self._log.emit(outcomes.granted(answer, client.name, print_))
            else:
                self.refused(answer)

    def refused(self, refused: Refused) -> None:
        """Tell what the listener or the monitor refused."""
        name = None if refused.client is None else self._clients[refused.client].name
        self._log.emit(outcomes.refused(refused, name))

    def restored(self, count: int, ended: int) -> None:
        """Tell how many grants came back from the store, and how many did not."""
        if count or ended:
            self._log.emit(Restored(count=count, ended=ended))

    def ended(self, ended: Iterable[Ended]) -> None:
        """Tell which grants have run out."""
        for grant in ended:
            client = grant.client or None
            self._log.emit(events.Expired(client=client, source=grant.source, services=grant.services))

    def revoked(self, revoked: Iterable[Revoked]) -> None:
        """Tell what was taken from clients, or of what was granted by hand, and why."""
        for each in revoked:
            sessions = each.sessions or None
            if each.client == BY_HAND:
                self._log.emit(
                    Deauthorized(
                        source=each.source,
                        services=each.services,
                        sessions=sessions,
                        cause=each.cause.value,
                    )
                )
                continue
            self._log.emit(
                events.Revoked(
                    client=each.client,
                    cause=each.cause.value,
                    source=each.source,
                    services=each.services,
                    sessions=sessions,
                )
            )
