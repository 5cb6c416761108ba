# SPDX-License-Identifier: MIT
"""The process that reads the network: no privileges, and nothing to say but the messages of `ipc`.

It holds the server's private keys and the authenticators. It never blocks: what the monitor does not take in
time is dropped and counted.
"""

from __future__ import annotations

import gc
import selectors
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spale_core import clock as clocks
from spale_core import events, firstknock, ipc, privilege, seccomp
from spale_core.arrival import arrived
from spale_core.collector import resting
from spale_core.config.files import read_trusted
from spale_core.config.mistakes import BadValueError
from spale_core.engine import Engine, Rules, Scheme
from spale_core.errors import ConfigError, SpaleError
from spale_core.listener_events import CallRefused
from spale_core.model import Claim, Reason, Refused
from spale_core.outlet import open_log
from spale_core.plugins import Plugins
from spale_core.walltimer import WallTimer

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from spale_core.clock import Clock
    from spale_core.config.settings import Settings
    from spale_core.ipc import Message
    from spale_core.log import Log
    from spale_core.model import Moment
    from spale_core.privilege import Identity
    from spale_core.spawn import Plan

ALIVE_INTERVAL_NS: Final = 1_000_000_000
"""How often the listener says that its loop turns."""

_QUEUE_LIMIT: Final = 1024
_READS_PER_WAKEUP: Final = 64
_SOFTWARE_ERROR: Final = 70  # EX_SOFTWARE, sysexits.h


def main(plan: Plan, channel: socket.socket, monitor_pid: int) -> int:
    """Be the listener until the monitor is gone; return the exit code. What ends it is a line of the log."""
    clock = clocks.SystemClock()
    log = open_log(plan.settings, clock)
    try:
        _prepare(plan, channel, monitor_pid, clock, log).run()
    except SpaleError as error:
        log.emit(events.Failed(doing="listener", message=str(error)))
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - a bug of ours or of a plugin's: the log is to say where
        log.emit(events.Failed(doing="listener", message=f"{type(error).__name__} at {_places(error)}"))
        return _SOFTWARE_ERROR
    finally:
        log.flush()
    return 0


def _prepare(plan: Plan, channel: socket.socket, monitor_pid: int, clock: Clock, log: Log) -> _Loop:
    """Do all that needs privileges, give them up for good, and return what reads the network."""
    # It starts a program, so it comes before the keys.
    calls = _call_filter()
    plugins = Plugins(plan.settings.auth, plan.plugins)
    with resting():
        schemes = _make_schemes(plan.settings, plugins)
    # What was made for each client stays; look-ups must not wait while the collector goes through it.
    gc.freeze()
    rules = Rules(plan.ignored, plan.settings.max_skew_s, plan.settings.require_source_binding)
    engine = Engine(schemes, rules, plan.seen)
    loop = _Loop(engine, channel, plan.sockets, clock, log)
    offers = [plugins.auth_scheme(name) for name in plan.settings.auth]
    for bug in firstknock.rehearse(offers, clock.unix_ms()):
        engine.bug = bug
    _give_up(plan.identity, monitor_pid, calls)
    return loop


def _call_filter() -> seccomp.Filter | None:
    try:
        return seccomp.prepare()
    except seccomp.NoFilterError:
        return None


def _give_up(identity: Identity, monitor_pid: int, calls: seccomp.Filter | None) -> None:
    """Keep no privileges, and few system calls if a filter can be had; the monitor sees whether one is."""
    with suppress(seccomp.NoFilterError):
        if calls is not None:
            calls.admit_log()
    privilege.drop(identity, monitor_pid)
    with suppress(seccomp.NoFilterError):
        if calls is not None:
            calls.load()


def _make_schemes(settings: Settings, plugins: Plugins) -> list[Scheme]:
    """Read the server's keys and make an authenticator for each scheme that has clients."""
    keys = [_read_key(path) for path in settings.server_keys]
    schemes = []
    for name in settings.auth:
        scheme = plugins.auth_scheme(name)
        members = _members(settings, name)
        clients = [settings.clients[index].public_key for index in members]
        schemes.append(Scheme(scheme.make_authenticator(keys, clients), members))
    return schemes


def _members(settings: Settings, scheme: str) -> tuple[int, ...]:
    return tuple(index for index, client in enumerate(settings.clients) if client.auth == scheme)


def _read_key(path: Path) -> bytes:
    """Return the PEM text of a private key that nobody else may read or replace; raise ConfigError."""
    try:
        return read_trusted(path, secret=True)
    except BadValueError as error:
        raise ConfigError(f"{path}: SERVER_KEY: {error}") from error


class _Loop:
    """The listener's only loop: sockets in, messages out."""

    def __init__(
        self,
        engine: Engine,
        channel: socket.socket,
        sockets: Sequence[socket.socket],
        clock: Clock,
        log: Log,
    ) -> None:
        self._engine = engine
        self._channel = channel
        self._sockets = sockets
        self._clock = clock
        self._log = log
        self._queue: deque[bytes] = deque()
        self._unsent: bytes | None = None
        self._ready = False
        self._leaving = False
        self._next_tick_ns = 0
        self._selector = selectors.DefaultSelector()
        # When the wall clock is set, the tags of other epochs are wanted at once.
        self._timer = WallTimer()
        self._timer.arm(None)
        self._selector.register(self._timer, selectors.EVENT_READ)
        channel.settimeout(0)
        self._selector.register(channel, selectors.EVENT_READ)

    def run(self) -> None:
        """Serve until the monitor is gone, or wants nothing more and has been told everything."""
        try:
            while not (self._leaving and self._unsent is None and not self._queue):
                now = clocks.read(self._clock)
                if now.monotonic_ns >= self._next_tick_ns:
                    self._tick(now)
                self._flush(now)
                wait_s = max(0, self._next_tick_ns - self._clock.monotonic_ns()) / 1e9
                for key, mask in self._selector.select(wait_s):
                    self._serve(key, mask)
        except (BrokenPipeError, ConnectionResetError):
            return

    def _serve(self, key: selectors.SelectorKey, mask: int) -> None:
        if key.fileobj is self._timer:
            self._timer.clear()
        elif key.fileobj is not self._channel:
            self._read(key.data)
        elif mask & selectors.EVENT_READ:
            # The monitor says nothing after the fork: this can only be its end, or that it wants ours.
            self._leave()

    def _leave(self) -> None:
        """Read nothing more; what was read, nobody else will see, so it must still be said."""
        self._leaving = True
        self._selector.modify(self._channel, selectors.EVENT_WRITE)
        if self._ready:
            for udp in self._sockets:
                self._selector.unregister(udp)
            for refused in self._engine.last_words():
                self._put(refused)
        else:
            self._unsent = None

    def _tick(self, now: Moment) -> None:
        self._next_tick_ns = now.monotonic_ns + ALIVE_INTERVAL_NS
        if self._ready and not self._leaving and len(self._queue) < _QUEUE_LIMIT:
            self._put(ipc.Alive())
            for refused in self._engine.summaries(now):
                self._put(refused)
        bug, self._engine.bug = self._engine.bug, None
        if bug is not None:
            self._log.emit(events.PluginBug(error=type(bug).__name__, where=_place(bug)))
        denied, self._engine.denied = self._engine.denied, None
        if denied is not None:
            self._log.emit(CallRefused(count=self._engine.denials, where=_place(denied)))
            self._engine.denials = 0
        self._log.tick()

    def _read(self, udp: socket.socket) -> None:
        """Take a bounded number of datagrams in, so that no socket starves another."""
        for _ in range(_READS_PER_WAKEUP):
            try:
                # One byte more than any datagram has: a longer one is then not of a good length.
                payload, ancillary, _, address = udp.recvmsg(self._engine.longest + 1, 64)
            except BlockingIOError:
                return
            except OSError as error:
                # Such as ECONNABORTED (`ss -K`): the kernel says once what was done to the socket.
                self._log.emit(events.Failed(doing="receive", message=error.strerror or "unknown"))
                return
            now = clocks.read(self._clock)
            message = self._engine.receive(arrived(payload, ancillary, address), now)
            if isinstance(message, Claim) and len(self._queue) >= _QUEUE_LIMIT:
                message = self._engine.refuse(Refused(Reason.OVERLOAD, message.source, message.client), now)
            if message is not None:
                self._put(message)

    def _put(self, message: Message) -> None:
        self._queue.append(ipc.encode(message))

    def _flush(self, now: Moment) -> None:
        """Send as much as the channel takes, claims before tags."""
        while True:
            record = self._unsent or self._next_record(now)
            self._unsent = record
            if record is None:
                break
            try:
                self._channel.send(record)
            except BlockingIOError:
                break
            self._unsent = None
        wanted = selectors.EVENT_WRITE if self._unsent else 0
        if not self._leaving:
            wanted |= selectors.EVENT_READ
        if wanted and self._selector.get_key(self._channel).events != wanted:
            self._selector.modify(self._channel, wanted)

    def _next_record(self, now: Moment) -> bytes | None:
        if self._queue:
            return self._queue.popleft()
        if self._leaving:
            return None
        batch = self._engine.next_tags(now)
        if batch is not None:
            return ipc.encode(batch)
        if self._ready:
            return None
        self._ready = True
        for udp in self._sockets:
            self._selector.register(udp, selectors.EVENT_READ, udp)
        return ipc.encode(ipc.Ready())


def _place(error: Exception) -> str:
    """Return where it was raised, as FILE:LINE; its words might hold what was sealed."""
    return _places(error).partition(" ")[0]


def _places(error: Exception) -> str:
    """Return where it was raised, and who called that, as FILE:LINE; the innermost first.

    The frames are asked, not `traceback`, which would read the source.
    """
    places: deque[str] = deque()
    trace = error.__traceback__
    while trace is not None:
        places.appendleft(f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}")
        trace = trace.tb_next
    return " < ".join(places) or "unknown"
