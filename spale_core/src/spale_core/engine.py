# SPDX-License-Identifier: MIT
"""The listener's decisions without its sockets: datagrams go in, messages for the monitor come out.

Nothing in here does I/O, and nothing that a stranger sends raises: it becomes a `Reason`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from spale_core import epochs, ipc
from spale_core.errors import PluginError
from spale_core.model import Claim, Reason, Refused
from spale_core.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from spale_core.interfaces import Authenticator
    from spale_core.ipc import TagBatch
    from spale_core.model import Datagram, Moment, Source, Tag

MAX_SEEN = 16384
"""How many replay identities the listener keeps; the monitor's memory is the authority."""


@frozen
class Scheme:
    """An authenticator, and for each of its client indices the index among all configured clients."""

    authenticator: Authenticator
    clients: tuple[int, ...]


@frozen
class Rules:
    """What the engine must know of the configuration; `ignored` are interfaces that are not protected."""

    ignored: frozenset[int]
    max_skew_s: int
    require_source_binding: bool


class Engine:
    """Judges datagrams as far as the listener may (wire.md, "What the server does, in this order")."""

    def __init__(self, schemes: Sequence[Scheme], rules: Rules, seen: Mapping[bytes, Source | None]) -> None:
        """Judge by `schemes` and `rules`; `seen` has the replay identities that the monitor remembers."""
        self._schemes = schemes
        self._rules = rules
        self._seen = dict(seen)
        self._refused = Throttle(merge_refused, lambda refused: refused.reason)
        self._sent: deque[int] = deque(maxlen=epochs.most(rules.max_skew_s))
        self._unsent: Iterator[TagBatch] = iter(())
        self.bug: Exception | None = None
        self.denied: PermissionError | None = None
        self.denials = 0
        self.longest = max((scheme.authenticator.length for scheme in schemes), default=0)

    def receive(self, datagram: Datagram, now: Moment) -> Claim | Refused | None:
        """Judge one datagram; return what the monitor must hear now, None if it hears of it later."""
        verdict = self._judge(datagram)
        if isinstance(verdict, Claim):
            self._note(verdict)
            return verdict
        return self._refused.offer(verdict, now.monotonic_ns)

    def refuse(self, refused: Refused, now: Moment) -> Refused | None:
        """Report something that was refused before it was a datagram; see `receive`."""
        return self._refused.offer(refused, now.monotonic_ns)

    def summaries(self, now: Moment) -> list[Refused]:
        """Return the refusals that were held back, one per reason and second."""
        return self._refused.due(now.monotonic_ns)

    def last_words(self) -> list[Refused]:
        """Return the refusals that are held back, because this is the end."""
        return self._refused.flush()

    def next_tags(self, now: Moment) -> TagBatch | None:
        """Return the next batch of tags that the monitor lacks, None if it lacks none.

        It has the last epochs that were sent, as many as `epochs.most` says (see `tagtable`).
        """
        wanted = epochs.wanted(now.unix_ms, self._rules.max_skew_s)
        batch = next(self._unsent, None)
        while batch is None:
            epoch = next((epoch for epoch in wanted if epoch not in self._sent), None)
            if epoch is None:
                return None
            self._sent.append(epoch)
            self._unsent = ipc.batches(epoch, self._tags(epoch))
            batch = next(self._unsent, None)
        return batch

    def _judge(self, datagram: Datagram) -> Claim | Refused:
        if not datagram.ifindex or datagram.ifindex in self._rules.ignored:
            return Refused(Reason.INTERFACE, datagram.source)
        reason = Reason.SPA_LENGTH
        for scheme in self._schemes:
            if scheme.authenticator.length != len(datagram.payload):
                continue
            recall = _Recall(self._seen)
            answer = self._ask(scheme, datagram, recall)
            if isinstance(answer, Claim):
                return self._check_binding(answer)
            if answer is Reason.REPLAY:
                return Refused(answer, datagram.source, first_source=recall.first_source)
            reason = answer
        return Refused(reason, datagram.source)

    def _ask(self, scheme: Scheme, datagram: Datagram, recall: _Recall) -> Claim | Reason:
        try:
            answer = scheme.authenticator.authenticate(datagram, recall)
            if isinstance(answer, Reason):
                return answer
            return _checked(answer, datagram, scheme.clients)
        except PermissionError as error:
            # The listener may call little (`seccomp`), and a plugin tried something else.
            self.denied = error
            self.denials += 1
            return Reason.INTERNAL
        except Exception as error:  # noqa: BLE001 - a plugin's bug must cost one datagram, not the listener
            self.bug = error
            return Reason.INTERNAL

    def _check_binding(self, claim: Claim) -> Claim | Refused:
        if self._rules.require_source_binding and not claim.bound:
            return Refused(Reason.UNBOUND, claim.source, claim.client)
        return claim

    def _note(self, claim: Claim) -> None:
        self._seen[claim.enc] = claim.source
        if len(self._seen) > MAX_SEEN:
            del self._seen[next(iter(self._seen))]

    def _tags(self, epoch: int) -> Iterator[Tag]:
        for scheme in self._schemes:
            for tag in scheme.authenticator.tags(epoch):
                if len(tag.tag) != ipc.TAG_LENGTH or len(tag.mac_key) not in (0, ipc.MAC_KEY_LENGTH):
                    raise PluginError("an authenticator made a tag or a mac key of a wrong length")
                client = scheme.clients[tag.client]
                yield tag if client == tag.client else evolve(tag, client=client)


class _Recall:
    """The replay identities as an authenticator sees them; notes where the one it found was first seen."""

    def __init__(self, seen: Mapping[bytes, Source | None]) -> None:
        self._seen = seen
        self.first_source: Source | None = None

    def __contains__(self, enc: object) -> bool:
        if enc not in self._seen:
            return False
        self.first_source = self._seen.get(enc) if isinstance(enc, bytes) else None
        return True


def merge_refused(held: Refused, new: Refused) -> Refused:
    """Return one refusal for both, with the names of the newer one."""
    return evolve(new, count=held.count + new.count)


def _checked(claim: Claim, datagram: Datagram, clients: tuple[int, ...]) -> Claim:
    """Return `claim` with its index among all clients, and where it arrived.

    Raise ValueError if a plugin made it up wrongly.
    """
    if claim.source != datagram.source or len(claim.enc) != ipc.ENC_LENGTH:
        raise ValueError("a claim for another source, or without a replay identity of 32 bytes")
    if len(claim.services) > ipc.SERVICES_PER_CLAIM or not 0 <= claim.unix_ms < 2**64:
        raise ValueError("a claim with too many services or an impossible time")
    return evolve(claim, client=clients[claim.client], ifindex=datagram.ifindex)
