# SPDX-License-Identifier: MIT
"""Send datagrams: a fresh one to every address in each round."""

from __future__ import annotations

import errno
import socket
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from spale_core.errors import UnavailableError
from spale_core.sending.addresses import FAMILIES, unscoped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from spale_core.knock import Knock, Target
    from spale_core.model import Address

_SCOPED: Final = 6
"""The version of IP whose link-local addresses say which interface they are on."""

_PAIR: Final = 2
_INTERFACE: Final = "a link-local address needs the interface that it is on, as in {}%eth0"


class Local(NamedTuple):
    """A local address to send from, and the option or profile key that named it."""

    address: Address
    name: str


class Preview(NamedTuple):
    """What would be sent to a target: from where, and how many bytes."""

    target: Target
    local: Address
    length: int


class Rounds:
    """Knocks at all `targets`, each time from a new socket and by the clock of that moment.

    `source` is where to send from, if that was chosen. `say` is told what went wrong, `note` what
    was sent.
    """

    def __init__(
        self,
        knock: Knock,
        targets: Sequence[Target],
        source: Local | None,
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
            raise UnavailableError(f"nothing could be sent: {'; '.join(dict.fromkeys(failures))}")
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
            raise UnavailableError(f"nothing could be sent: {'; '.join(dict.fromkeys(failures))}")
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
            place = f"{target.address} port {target.socket_address[1]}"
            self._note(f"sent to {place} from {local}, {binding.described(local)}")
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
                _bind(channel, self._source, target)
            channel.connect(target.socket_address)
        except BaseException:
            channel.close()
            raise
        return channel

    def _once(self, words: str) -> None:
        if words not in self._warned:
            self._warned.add(words)
            self._say(words)


class _SourceError(OSError):
    """The address to send from cannot be; its words say why, whatever the target."""


def _bind(channel: socket.socket, source: Local, target: Target) -> None:
    """Send from `source`; raise OSError, saying what would be right where this host has no such address."""
    try:
        channel.bind((str(source.address), 0))
    except OSError as error:
        words = f"{source.name}: {source.address}"
        if _lacks_interface(source.address, 0) and "%" not in str(source.address):
            raise _SourceError(f"{words}: {_INTERFACE.format(source.address)}") from None
        if errno.errorcode.get(error.errno or 0, "").removeprefix("WSA") != "EADDRNOTAVAIL":
            raise _SourceError(f"{words}: {error.strerror or error}") from None
        usual = _usual(target)
        right = f"{usual}, from which it reaches {target.address}" if usual else "to leave it out"
        raise _SourceError(f"{words} is no address of this host; would be right: {right}") from None


def _usual(target: Target) -> str:
    """Return where this host sends from if nobody chooses, "" if it cannot; nothing is sent."""
    try:
        with socket.socket(FAMILIES[target.address.version], socket.SOCK_DGRAM) as probe:
            probe.connect(target.socket_address)
            return str(unscoped(probe.getsockname()[0]))
    except OSError:
        return ""


def _lacks_interface(address: Address, scope: int) -> bool:
    return address.version == _SCOPED and address.is_link_local and not scope


def _failure(target: Target, error: OSError) -> str:
    """Return why nothing could be sent there."""
    if isinstance(error, _SourceError):
        return str(error)
    address, scope = target.address, target.socket_address[-1]
    if _lacks_interface(address, int(scope) if len(target.socket_address) > _PAIR else 0):
        return f"{address}: {_INTERFACE.format(address)}"
    return f"{address}: {error.strerror or error}"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
