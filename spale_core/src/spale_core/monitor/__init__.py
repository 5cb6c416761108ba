# SPDX-License-Identifier: MIT
"""The process that decides: owns maps, store and configuration, and never reads the network."""

from __future__ import annotations

import gc
import selectors
from contextlib import ExitStack
from typing import TYPE_CHECKING

from spale_core import log as logs
from spale_core import plugins, privilege
from spale_core.clock import SystemClock, read
from spale_core.control import socketfile
from spale_core.events import StoreSays, Warned
from spale_core.interfaces import StoreSettings
from spale_core.log import Log
from spale_core.monitor import generation, locks, sockets
from spale_core.monitor.daemon import Daemon
from spale_core.monitor.ground import Ground, find_interfaces
from spale_core.monitor.signals import Signals

if TYPE_CHECKING:
    from collections.abc import Callable

    from spale_core.config.settings import Settings
    from spale_core.interfaces import GrantStore
    from spale_core.plugins import InstalledPlugin

__all__ = ["run"]


def run(settings: Settings, reread: Callable[[], Settings]) -> int:
    """Run the daemon until a signal ends it; return its exit code.

    ``reread()`` reads the configuration again, for a reload; it may raise ConfigError. Raise SpaleError if
    the daemon cannot start, with nothing attached that was not there, or cannot go on, with everything
    attached as it was.
    """
    clock = SystemClock()
    log = _open_log(settings, clock)
    available = plugins.installed()
    with ExitStack() as stack:
        stack.enter_context(locks.held(log.interfaces, settings.name))
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
        ground = Ground(clock, log, signals, selector, store, dataplane, identity, bound, started)
        # What is there by now is shared with every listener; the collector must not touch its pages.
        gc.freeze()
        first = generation.make(ground, settings, available, dict.fromkeys(store.identities()))
        daemon = Daemon(ground, first, reread)
        stack.callback(daemon.close)
        daemon.start()
        daemon.answer(listening, group)
        return daemon.serve()


def _open_log(settings: Settings, clock: SystemClock) -> Log:
    write = logs.syslog_writer() if settings.log_syslog else logs.write_to_stderr
    log = Log(write, clock, settings.log_level)
    log.interfaces = find_interfaces(settings.interfaces)
    for warning in settings.warnings:
        log.emit(Warned(message=warning))
    return log


def _open_store(settings: Settings, available: tuple[InstalledPlugin, ...], log: Log) -> GrantStore:
    kind = plugins.Plugins([settings.store], available).store(settings.store)
    return kind.make(
        StoreSettings(
            settings.own(settings.state_dir),
            settings.max_skew_s,
            say=lambda message: log.emit(StoreSays(message=message)),
        )
    )
