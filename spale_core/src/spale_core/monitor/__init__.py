# SPDX-License-Identifier: MIT
"""The process that decides: owns maps, store and configuration, and never reads the network."""

from __future__ import annotations

import gc
import os
import selectors
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from spale_core import plugins, privilege
from spale_core.clock import SystemClock, read
from spale_core.control import socketfile
from spale_core.errors import SpaleError
from spale_core.events import Failed, StoreSays, Warned
from spale_core.interfaces import StoreSettings
from spale_core.monitor import generation, locks, sockets
from spale_core.monitor.daemon import Daemon
from spale_core.monitor.ground import Ground, find_interfaces
from spale_core.monitor.servicemanager import ServiceManager
from spale_core.monitor.signals import Signals
from spale_core.outlet import open_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from spale_core.config.settings import Settings
    from spale_core.interfaces import GrantStore
    from spale_core.log import Log
    from spale_core.plugins import InstalledPlugin

__all__ = ["run"]


def run(settings: Settings, reread: Callable[[], Settings]) -> int:
    """Run the daemon until a signal ends it; return its exit code.

    ``reread()`` reads the configuration again, for a reload; it may raise ConfigError. Raise SpaleError if
    the daemon cannot start, with nothing attached that was not there, or cannot go on, with everything
    attached as it was.
    """
    manager = ServiceManager.of(os.environ)
    clock = SystemClock()
    log = open_log(settings, clock)
    with ExitStack() as stack:
        stack.enter_context(_ended(log, is_syslog=settings.log_syslog))
        _introduce(log, settings)
        available = plugins.installed()
        locked = stack.enter_context(locks.held(log.interfaces, settings.name))
        signals = stack.enter_context(Signals())
        selector = stack.enter_context(selectors.DefaultSelector())
        group = socketfile.group_number(settings.socket_group)
        listening = stack.enter_context(socketfile.bound(settings.own(settings.socket), group))
        store = _open_store(settings, available, log)
        stack.callback(store.close)
        dataplane = plugins.Plugins([settings.dataplane], available).dataplane(settings.dataplane)
        identity = privilege.resolve(settings.drop_privs)
        bound = sockets.bind(settings)
        for udp in bound:
            stack.enter_context(udp)
        # Only now is it certain that no earlier daemon still takes knocks.
        started = read(clock)
        ground = Ground(
            clock, log, signals, selector, store, dataplane, identity, bound, started, locked, manager
        )
        # What is there by now is shared with every listener; the collector must not touch its pages.
        gc.freeze()
        first = generation.make(ground, settings, available, dict.fromkeys(store.identities()))
        daemon = Daemon(ground, first, reread)
        stack.callback(daemon.close)
        daemon.start()
        daemon.answer(listening, group)
        return daemon.serve()


@contextmanager
def _ended(log: Log, *, is_syslog: bool) -> Iterator[None]:
    """Write all that there is to say, whatever happens; into syslog also the error that is told on stderr."""
    try:
        yield
    except SpaleError as error:
        if is_syslog:
            log.emit(Failed(doing="run", message=str(error)))
        raise
    finally:
        log.flush()


def _introduce(log: Log, settings: Settings) -> None:
    """Tell the log the interfaces' names, and what `settings` are to be warned about; raise SpaleError."""
    log.interfaces = find_interfaces(settings.interfaces, wait=settings.wait_interface)
    for warning in settings.warnings:
        log.emit(Warned(message=warning))


def _open_store(settings: Settings, available: tuple[InstalledPlugin, ...], log: Log) -> GrantStore:
    kind = plugins.Plugins([settings.store], available).store(settings.store)
    return kind.make(
        StoreSettings(
            settings.own(settings.state_dir),
            settings.max_skew_s,
            say=lambda message: log.emit(StoreSays(message=message)),
        )
    )
