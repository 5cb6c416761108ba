# SPDX-License-Identifier: MIT
"""What somebody who tries a door gets: an open one, silence, or a refusal."""

from __future__ import annotations

import enum
import selectors
import socket
import time
from typing import TYPE_CHECKING

from attrs import field, frozen

from spale_core.model import Address, Protocol, Service

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spale_core.demo.stage import Namespace

_KINDS = {Protocol.TCP: socket.SOCK_STREAM, Protocol.UDP: socket.SOCK_DGRAM}
_GREETING_MAX = 256


class Outcome(enum.Enum):
    """What came back; the value is the word for it in the story."""

    OPEN = "open"
    SHUT = "no answer"
    REFUSED = "refused"


@frozen
class Attempt:
    """Somebody at `source` tries `service` of the host `target`."""

    source: Address
    target: Address
    service: Service

    def socket(self) -> socket.socket:
        """Return an unconnected, non-blocking socket bound to the source."""
        family = socket.AF_INET if self.target.version == 4 else socket.AF_INET6  # noqa: PLR2004 - IPv4
        sock = socket.socket(family, _KINDS[self.service.protocol] | socket.SOCK_NONBLOCK)
        sock.bind((str(self.source), 0))
        return sock

    @property
    def peer(self) -> tuple[str, int]:
        """Return whom to connect to."""
        return str(self.target), self.service.port


@frozen
class Seen:
    """The outcome of an attempt, and the greeting if the door was open."""

    outcome: Outcome
    greeting: str = field(default="")


def try_doors(namespace: Namespace, attempts: Sequence[Attempt], timeout_s: float) -> list[Seen]:
    """Try all doors at once from inside `namespace`; only one with a `greeter` behind it counts as open."""
    seen = dict.fromkeys(range(len(attempts)), Seen(Outcome.SHUT))
    with namespace.inside():
        socks = [attempt.socket() for attempt in attempts]
    with selectors.DefaultSelector() as selector:
        try:
            for place, (attempt, sock) in enumerate(zip(attempts, socks, strict=True)):
                sock.connect_ex(attempt.peer)
                selector.register(sock, selectors.EVENT_WRITE, place)
            deadline = time.monotonic() + timeout_s
            while selector.get_map() and (left := deadline - time.monotonic()) > 0:
                for key, events in selector.select(left):
                    result = _step(selector, key, events)
                    if result is not None:
                        seen[key.data] = result
                        selector.unregister(key.fileobj)
        finally:
            for sock in socks:
                sock.close()
    return [seen[place] for place in range(len(attempts))]


def _step(selector: selectors.BaseSelector, key: selectors.SelectorKey, events: int) -> Seen | None:
    """Take one attempt one step further: connected, ask for the greeting; greeted, done."""
    sock = key.fileobj
    if not isinstance(sock, socket.socket):
        raise TypeError(sock)
    try:
        if events & selectors.EVENT_WRITE:
            sock.send(b"?")
            selector.modify(sock, selectors.EVENT_READ, key.data)
            return None
        greeting = sock.recv(_GREETING_MAX)
    except OSError:
        return Seen(Outcome.REFUSED)
    return (
        Seen(Outcome.OPEN, greeting.decode(errors="replace").strip()) if greeting else Seen(Outcome.REFUSED)
    )
