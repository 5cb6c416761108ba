# SPDX-License-Identifier: MIT
"""Fork the listener. The only module that knows both processes (docs/adr/0030-fork-the-listener.md).

What the listener may know is what `Plan` holds; the fork hands it over, so there is no protocol from the
monitor to the listener that could be got wrong, and no second start of an interpreter.
"""

from __future__ import annotations

import os
import signal
import socket
import traceback
from contextlib import ExitStack
from typing import TYPE_CHECKING, NoReturn

from attrs import field, frozen

from spale_core import forks
from spale_core.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from spale_core.config.settings import Settings
    from spale_core.model import Source
    from spale_core.plugins import InstalledPlugin
    from spale_core.privilege import Identity

_SOFTWARE_ERROR = 70
_IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@frozen
class Plan:
    """All that a listener is told.

    What arrives on the interfaces with the numbers `ignored` it refuses at once; which of the others are
    guarded, only the monitor knows (docs/adr/0112).
    """

    settings: Settings
    identity: Identity
    sockets: tuple[socket.socket, ...]
    plugins: tuple[InstalledPlugin, ...]
    seen: Mapping[bytes, Source | None] = field(factory=dict)
    ignored: frozenset[int] = frozenset()


@frozen
class Child:
    """A listener as the monitor sees it: a process, a descriptor that tells its end, and what it says."""

    pid: int
    pidfd: int
    channel: socket.socket


def start(plan: Plan) -> Child:
    """Fork a listener that follows `plan`; in the child this never returns.

    Raise UnavailableError, with nothing left behind, if the kernel gives no process or descriptor.
    """
    with ExitStack() as undo:
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            undo.callback(ours.close)
            undo.callback(theirs.close)
            monitor_pid = os.getpid()
            pid = forks.fork()
            if pid == 0:
                _be_the_listener(plan, theirs, monitor_pid)
            undo.callback(forks.end, pid)
            pidfd = os.pidfd_open(pid)
        except OSError as error:
            raise UnavailableError(f"no listener can be started: {error.strerror}") from error
        undo.pop_all()
    theirs.close()
    ours.settimeout(0)
    return Child(pid, pidfd, ours)


def _be_the_listener(plan: Plan, channel: socket.socket, monitor_pid: int) -> NoReturn:
    """Run the listener and end the process, whatever happens."""
    status = _SOFTWARE_ERROR
    try:
        _leave_the_monitor([channel, *plan.sockets])
        from spale_core import listener  # noqa: PLC0415 - the monitor never holds what reads the network

        status = listener.main(plan, channel, monitor_pid)
    except BaseException:  # noqa: BLE001 - a forked child must never run on in its parent's frames
        # Nothing of Python's own streams: what they hold back and cannot write would raise here.
        os.write(2, traceback.format_exc().encode("ascii", "backslashreplace"))
    finally:
        os._exit(status)


def _leave_the_monitor(sockets: Iterable[socket.socket]) -> None:
    """Keep no descriptor of the monitor but `sockets` and standard error, and none of its signal handlers.

    The listener ends when its channel does: the signals that stop a service reach both processes, and the
    monitor decides what they mean.
    """
    signal.set_wakeup_fd(-1)
    # Nothing of a terminal that the monitor may have, but the descriptor that lines are written to.
    os.setsid()
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    low = 3
    for kept in sorted(socket_.fileno() for socket_ in sockets):
        os.closerange(low, kept)
        low = kept + 1
    os.closerange(low, os.sysconf("SC_OPEN_MAX"))
