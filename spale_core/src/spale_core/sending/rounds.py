# SPDX-License-Identifier: MIT
"""Send datagrams: a fresh one to every address in each round."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, NamedTuple

from spale_core.errors import UnavailableError
from spale_core.sending.addresses import FAMILIES, unscoped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from spale_core.knock import Knock, Target
    from spale_core.model import Address


class Preview(NamedTuple):
    """What would be sent to a target: from where, and how many bytes."""

    target: Target
    local: Address
    length: int


class Rounds:
    """Knocks at all `targets`, each time from a new socket and by the clock of that moment.

    `source` is the local address to send from, if one was chosen. `say` is told what went wrong, `note` what
    was sent.
    """

    def __init__(
        self,
        knock: Knock,
        targets: Sequence[Target],
        source: Address | None,
        say: Callable[[str], None],
        note: Callable[[str], None],
    ) -> None:
        """Send nothing yet."""
        self._knock, self._source, self._say, self._note = knock, source, say, note
        self.targets = tuple(targets)
        self._warned: set[str] = set()

    def first(self) -> None:
        """Knock; say which addresses could not be, and raise UnavailableError if none could."""
        failures = self._round()
        if len(failures) == len(self.targets):
            raise UnavailableError(f"nothing could be sent: {'; '.join(failures)}")
        for failure in failures:
            self._once(f"not sent to {failure}")

    def again(self) -> None:
        """Knock once more; what cannot be sent now was said before, or does not matter any more."""
        for failure in self._round():
            self._note(f"not sent to {failure}")

    def preview(self) -> list[Preview]:
        """Return what would be sent; raise UnavailableError if there is no way to any address."""
        previews, failures = [], []
        for target in self.targets:
            try:
                with self._channel(target) as channel:
                    local = unscoped(channel.getsockname()[0])
            except OSError as error:
                failures.append(_failure(target, error))
                continue
            previews.append(Preview(target, local, len(self._knock.datagram(local, _now_ms()))))
        if not previews:
            raise UnavailableError(f"nothing could be sent: {'; '.join(failures)}")
        for failure in failures:
            self._once(f"not sent to {failure}")
        return previews

    def _round(self) -> list[str]:
        """Send to each target; return what failed, in words."""
        failures = []
        for target in self.targets:
            try:
                local = self._send(target)
            except OSError as error:
                failures.append(_failure(target, error))
                continue
            binding = self._knock.binding
            self._note(f"sent to {target.address} from {local}, {binding.described(local)}")
            if binding.misses(local):
                self._once(
                    f"warning: {binding.described(local)}, but sent from {local}; unless something on the "
                    "way translates it, the server will refuse it"
                )
        return failures

    def _send(self, target: Target) -> Address:
        """Send one datagram; return the local address. Raise OSError."""
        with self._channel(target) as channel:
            local = unscoped(channel.getsockname()[0])
            channel.send(self._knock.datagram(local, _now_ms()))
        return local

    def _channel(self, target: Target) -> socket.socket:
        """Return a socket that sends to `target`; raise OSError."""
        channel = socket.socket(FAMILIES[target.address.version], socket.SOCK_DGRAM)
        try:
            if self._source is not None:
                channel.bind((str(self._source), 0))
            channel.connect(target.socket_address)
        except BaseException:
            channel.close()
            raise
        return channel

    def _once(self, words: str) -> None:
        if words not in self._warned:
            self._warned.add(words)
            self._say(words)


def _failure(target: Target, error: OSError) -> str:
    return f"{target.address}: {error.strerror or error}"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
