# SPDX-License-Identifier: MIT
"""Tell the service manager how the daemon is: datagrams to the socket that systemd names (sd_notify(3)).

Where no manager listens, nothing is said. The monitor never waits for it: what its socket does not take at
once is said again with the next turn (docs/adr/0105).
"""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from spale_core.monitor.generation import Generation

_FEEDS_PER_TIMEOUT: Final = 4
_UNSAID_MAX: Final = 64
_SENTENCE_MAX: Final = 1024


class ServiceManager:
    """One that started us, or none; times are seconds of CLOCK_MONOTONIC."""

    def __init__(self, address: str = "", timeout_s: float = 0.0) -> None:
        """Talk to the socket at `address`; be alive at least every `timeout_s`. Empty and 0: not at all."""
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._pause_s = timeout_s / _FEEDS_PER_TIMEOUT
        self._unsaid: deque[bytes] = deque(maxlen=_UNSAID_MAX)
        self._sentence = ""
        self._alive_s: float | None = None
        self._fed_s = 0.0

    @classmethod
    def of(cls, environment: MutableMapping[str, str]) -> Self:
        """Return the manager that `environment` names, and take it out of there: no child shall have it."""
        address = environment.pop("NOTIFY_SOCKET", "")
        timeout_us = environment.pop("WATCHDOG_USEC", "")
        pid = environment.pop("WATCHDOG_PID", "")
        is_for_us = pid in ("", str(os.getpid()))
        return cls(address, int(timeout_us) / 1e6 if timeout_us.isdecimal() and is_for_us else 0.0)

    def ready(self) -> None:
        """Say that everything is in force: the start, or a reload, has ended."""
        self._say("READY=1")

    def reloading(self) -> None:
        """Say that the configuration is read again; `ready` must follow, whatever comes of it."""
        self._say(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Say that the daemon ends."""
        self._say("STOPPING=1")

    def describe(self, sentence: str) -> None:
        """Say how things are, for people, if that has changed."""
        if sentence != self._sentence:
            self._sentence = sentence
            # A line of its own would be a message of its own.
            self._say(f"STATUS={' '.join(sentence.split())[:_SENTENCE_MAX]}")

    def turn(self, alive_s: float | None) -> None:
        """Feed the watchdog, if the listener has said that it is alive since the last time.

        `alive_s` is when it did, None for never. That we are here says that our own loop turns.
        """
        self._flush()
        now_s = time.monotonic()
        said = alive_s is not None and alive_s != self._alive_s
        if self._pause_s and said and now_s - self._fed_s >= self._pause_s:
            self._alive_s, self._fed_s = alive_s, now_s
            self._say("WATCHDOG=1")

    def _say(self, message: str) -> None:
        if self._address:
            self._unsaid.append(message.encode(errors="replace"))
            self._flush()

    def _flush(self) -> None:
        while self._unsaid:
            try:
                # A socket for each word: nothing that the listener could inherit.
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
                    sock.sendto(self._unsaid[0], self._address)
            except OSError:
                return
            self._unsaid.popleft()


def sentence(current: Generation, *, reload_failed: bool) -> str:
    """Return how the daemon is, in words for `systemctl status`."""
    settings, guard = current.settings, current.guard
    guarded = [attachment.interface for attachment in guard.attachments]
    where = ", ".join(guarded) or "no interface"
    services, clients = _count(len(settings.services), "service"), _count(len(settings.clients), "client")
    parts = [f"guards {services} on {where} for {clients}"]
    if guard.waiting:
        parts.append(f"waits for {', '.join(guard.waiting)}")
    if guard.missing:
        parts.append(f"not on {', '.join(sorted(guard.missing))}")
    if settings.log_only:
        parts.append("LOG_ONLY: nothing is dropped")
    if not current.supervisor.is_ready:
        parts.append("nobody listens for knocks just now")
    if reload_failed:
        parts.append("the last reload changed nothing")
    return "; ".join(parts)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
