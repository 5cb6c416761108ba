# SPDX-License-Identifier: MIT
"""Keeps one listener running: starts it, reads what it says, ends it, and starts the next."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import time
from typing import TYPE_CHECKING, Final

from attrs import evolve

from spale_core import ipc, spawn
from spale_core.errors import SpaleError, UnavailableError
from spale_core.ipc import Alive, IpcError, Message, Ready
from spale_core.model import Claim

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from spale_core.model import Source
    from spale_core.spawn import Child, Plan

START_DEADLINE_S: Final = 20.0
"""How long a listener may take until it reads the network."""

SILENCE_LIMIT_S: Final = 10.0
"""How long a listener may say nothing."""

_FIRST_BACKOFF_S: Final = 0.1
_LAST_BACKOFF_S: Final = 10.0
_STEADY_S: Final = 30.0
_MESSAGES_PER_WAKEUP: Final = 512


class ListenerFailedError(UnavailableError):
    """The first listener did not come up; it has said why on standard error."""

    def __init__(self, message: str, exit_code: int) -> None:
        """End the command with the listener's own exit code."""
        super().__init__(message)
        self.exit_code = exit_code


class Supervisor:
    """Owns the listener's process and channel; times are seconds of CLOCK_MONOTONIC."""

    def __init__(
        self,
        plan: Plan,
        selector: selectors.BaseSelector,
        start: Callable[[Plan], Child] = spawn.start,
    ) -> None:
        """Start listeners by ``start(plan)``; let `selector` watch what they say."""
        self._plan = plan
        self._start = start
        self._selector = selector
        self._child: Child | None = None
        self._started_s = 0.0
        self._heard_s = 0.0
        self._backoff_s = _FIRST_BACKOFF_S
        self._restart_s: float | None = None
        self.is_ready = False
        self.ignored: frozenset[int] = frozenset()
        """The interfaces of which the listener that is there refuses what arrives."""
        self.alive_s: float | None = None
        """When a listener has said last that its loop turns."""

    @property
    def pid(self) -> int:
        """Return the listener's process id, 0 while there is none."""
        return self._child.pid if self._child else 0

    def start(self, seen: Mapping[bytes, Source | None], ignored: frozenset[int] = frozenset()) -> None:
        """Fork a listener that knows the replay identities `seen` and the interfaces `ignored`.

        Raise UnavailableError if there can be none just now; the next try is then planned.
        """
        self._started_s = self._heard_s = time.monotonic()
        try:
            self._child = self._start(evolve(self._plan, seen=seen, ignored=ignored))
        except UnavailableError:
            self.schedule_restart()
            raise
        self.ignored = ignored
        self._selector.register(self._child.channel, selectors.EVENT_READ, self)
        self._restart_s = None
        self.is_ready = False

    def receive(self) -> list[Message]:
        """Return what the listener has said, up to a bound, and up to `Ready`.

        Raise IpcError if it has ended or said what it must not.
        """
        messages: list[Message] = []
        if self._child is None:
            return messages
        while len(messages) < _MESSAGES_PER_WAKEUP:
            try:
                # No room for ancillary data: the kernel then only says that there was some.
                record, _, flags, _ = self._child.channel.recvmsg(ipc.MAX_LENGTH + 1, 0)
            except BlockingIOError:
                break
            except OSError as error:
                raise IpcError(f"its channel broke: {error.strerror}") from error
            if messages and not record:
                break  # what it said before its end counts; the end will still be there the next time
            messages.append(self._accept(record, flags))
            if isinstance(messages[-1], Ready):
                break
        return messages

    def dismiss(self) -> bool:
        """Tell the listener to say what it has read, and to end; return False if there is none."""
        self._restart_s = None
        if self._child is None:
            return False
        self._child.channel.shutdown(socket.SHUT_WR)
        return True

    def end(self) -> str:
        """End the listener, which has nothing to save; return how it ended."""
        child, self._child = self._child, None
        self.is_ready = False
        self.ignored = frozenset()
        if child is None:
            return "not running"
        self._selector.unregister(child.channel)
        child.channel.close()
        # Does nothing to one that has ended by itself.
        signal.pidfd_send_signal(child.pidfd, signal.SIGKILL)
        os.close(child.pidfd)
        status = os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])
        return f"signal {-status}" if status < 0 else f"exit status {status}"

    def schedule_restart(self) -> float:
        """Plan the next start; return in how many seconds. Who fails again and again waits longer."""
        now_s = time.monotonic()
        if now_s - self._started_s >= _STEADY_S:
            self._backoff_s = _FIRST_BACKOFF_S
        wait_s, self._backoff_s = self._backoff_s, min(2 * self._backoff_s, _LAST_BACKOFF_S)
        self._restart_s = now_s + wait_s
        return wait_s

    def is_silent(self) -> bool:
        """Tell whether a listener is there that has said nothing for too long."""
        limit_s = SILENCE_LIMIT_S if self.is_ready else START_DEADLINE_S
        return self._child is not None and time.monotonic() - self._heard_s > limit_s

    def restart_in_s(self) -> float | None:
        """Return in how many seconds a listener is to be started, None if one is there."""
        return None if self._restart_s is None else max(0.0, self._restart_s - time.monotonic())

    def _accept(self, record: bytes, flags: int) -> Message:
        if not record:
            raise IpcError("it has ended")
        if flags & (socket.MSG_CTRUNC | socket.MSG_TRUNC):
            raise IpcError("a message with ancillary data, or too long")
        message = ipc.decode(record)
        if isinstance(message, Ready) == self.is_ready and isinstance(message, (Ready, Alive)):
            raise IpcError("a message out of turn")
        if isinstance(message, Ready):
            self.is_ready = True
        elif isinstance(message, Claim) and not self.is_ready:
            raise IpcError("a claim before it was ready")
        self._heard_s = time.monotonic()
        if isinstance(message, Alive):
            self.alive_s = self._heard_s
        return message


def first_failure(status: str, cause: str) -> SpaleError:
    """Return the error for a first listener: how it ended (see `Supervisor.end`), and why."""
    number = status.removeprefix("exit status ")
    code = int(number) if number.isdecimal() and int(number) else UnavailableError.exit_code
    return ListenerFailedError(f"the listener could not start: {cause} ({status})", code)
