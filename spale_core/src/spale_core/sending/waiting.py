# SPDX-License-Identifier: MIT
"""Wait until a port opens: connect again and again, to every address at once, and knock again now and then.

The kernel repeats an unanswered SYN only after a second, so a connection that was begun a moment too early
would cost that second. Therefore new ones are begun, soon at first and then ever less often, while the
earlier ones go on: their answers may be slow to come. The first to be answered is taken, the others dropped.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import time
from itertools import chain, repeat
from typing import TYPE_CHECKING, Final

from attrs import Factory, define

from spale_core.errors import UnavailableError
from spale_core.sending.addresses import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from spale_core.knock import Target
    from spale_core.model import Address

PAUSE_S: Final = 0.2
"""Between the rounds of --count: they help against loss, which comes in bursts."""

_KNOCK_PAUSES_S = (0.5, 1.0, 2.0)
_LAST_KNOCK_PAUSE_S = 4.0
"""Before each further knock: a server lets three of a source pass at once, and three a second."""

_FIRST_GAP_S = 0.004
_LAST_GAP_S = 1.0
_MAX_PENDING = 16
_UNDER_WAY = {errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", errno.EWOULDBLOCK)}
_NO_ROUTE = {"ENETUNREACH", "EHOSTUNREACH", "ENETDOWN", "EHOSTDOWN", "EADDRNOTAVAIL"}
_REFUSED = {"ECONNREFUSED", "ECONNRESET"}
_SHUT = "still shut"
_NEXT_STEP = "the server's log says why"


@define
class _Door:
    """One address: the connections that are under way to it, oldest first, and what it said last.

    `at_once` tells whether that was said before a packet was sent: so it is over when one is.
    """

    target: Target
    pending: list[socket.socket] = Factory(list)
    seen: str = ""
    at_once: bool = False

    @property
    def words(self) -> str:
        """Return how it is, for people."""
        return f"{self.target.address}: {self.seen or _SHUT}"

    def failed_at_once(self, code: int | None) -> None:
        """Take note of a connection that could not even be begun."""
        self.seen, self.at_once = _words(code), True

    def add(self, attempt: socket.socket) -> None:
        """Take a connection that is under way."""
        self.pending.append(attempt)
        if self.at_once:
            self.seen, self.at_once = "", False


def knock_pauses(count: int) -> Iterator[float]:
    """Yield the seconds from each knock to the next, without end; the first `count` come soon."""
    return chain(repeat(PAUSE_S, count - 1), _KNOCK_PAUSES_S, repeat(_LAST_KNOCK_PAUSE_S))


class Wait:
    """One wait for one of `doors` to open, from `source` if that is given, just after a first knock.

    `knock` is called for each further one, after the `pauses` between them.
    """

    def __init__(
        self,
        doors: Sequence[Target],
        source: Address | None,
        knock: Callable[[], None],
        pauses: Iterator[float],
    ) -> None:
        """Begin nothing yet."""
        self._doors = [_Door(target) for target in doors]
        self._source, self._knock, self._pauses = source, knock, pauses
        self._gap_s = _FIRST_GAP_S

    def connection(self, limit_s: float) -> socket.socket:
        """Return the first connection that is made, blocking again.

        Raise UnavailableError, saying how each address is, after `limit_s` s. None that refuses ends it
        before: a service may be starting again, a network just coming up.
        """
        with selectors.DefaultSelector() as selector:
            try:
                made = self._made(selector, limit_s)
            finally:
                for door in self._doors:
                    for pending in door.pending:
                        pending.close()
        if made is None:
            words = "; ".join(door.words for door in self._doors)
            is_shut = any(not door.seen for door in self._doors)
            raise UnavailableError(f"{words}; {_NEXT_STEP}" if is_shut else words)
        made.settimeout(None)
        return made

    def _made(self, selector: selectors.BaseSelector, limit_s: float) -> socket.socket | None:
        began = time.monotonic()
        begin_at, knock_at, end = began, began + next(self._pauses), began + limit_s
        while (now := time.monotonic()) < end:
            if now >= knock_at:
                self._knock()
                knock_at, begin_at, self._gap_s = now + next(self._pauses), now, _FIRST_GAP_S
            if now >= begin_at:
                self._begin_all(selector)
                begin_at, self._gap_s = now + self._gap_s, min(2 * self._gap_s, _LAST_GAP_S)
            wait_s = min(begin_at, knock_at, end) - time.monotonic()
            made = self._first_answered(selector, max(wait_s, 0.0))
            if made is not None:
                return made
        return None

    def _begin_all(self, selector: selectors.BaseSelector) -> None:
        for door in self._doors:
            try:
                self._begin(door, selector)
            except OSError as error:
                door.failed_at_once(error.errno)
            if len(door.pending) > _MAX_PENDING:
                self._drop(door.pending[0], door, selector)

    def _begin(self, door: _Door, selector: selectors.BaseSelector) -> None:
        """Begin a connection; raise OSError if that fails at once."""
        attempt = socket.socket(FAMILIES[door.target.address.version], socket.SOCK_STREAM)
        try:
            attempt.settimeout(0)
            if self._source is not None:
                attempt.bind((str(self._source), 0))
            code = attempt.connect_ex(door.target.socket_address)
        except BaseException:
            attempt.close()
            raise
        if code and code not in _UNDER_WAY:
            attempt.close()
            door.failed_at_once(code)
            return
        selector.register(attempt, selectors.EVENT_WRITE, door)
        door.add(attempt)

    def _first_answered(self, selector: selectors.BaseSelector, wait_s: float) -> socket.socket | None:
        for key, _ in selector.select(wait_s):
            attempt, door = key.fileobj, key.data
            code = attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # type: ignore[union-attr] # a socket
            if not code:
                selector.unregister(attempt)
                door.pending.remove(attempt)
                return attempt  # type: ignore[return-value] # a socket
            door.seen = _words(code)
            self._drop(attempt, door, selector)  # type: ignore[arg-type] # a socket
        return None

    @staticmethod
    def _drop(attempt: socket.socket, door: _Door, selector: selectors.BaseSelector) -> None:
        selector.unregister(attempt)
        door.pending.remove(attempt)
        attempt.close()


def _words(code: int | None) -> str:
    """Return what a failed connection means; on Windows the names of the numbers begin with WSA."""
    name = errno.errorcode.get(code or 0, "").removeprefix("WSA")
    if name in _REFUSED:
        return "refused"
    if name in _NO_ROUTE:
        return "no route"
    if name == "ETIMEDOUT":
        return ""
    return os.strerror(code or 0)
