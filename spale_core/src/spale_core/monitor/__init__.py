# SPDX-License-Identifier: MIT
"""The process that decides: owns maps, store and configuration, and never reads the network."""

from __future__ import annotations

import gc
import selectors
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

from spale_core import log as logs
from spale_core import plugins, privilege
from spale_core.clock import SystemClock, read
from spale_core.errors import UnavailableError
from spale_core.events import StoreSays, Warned
from spale_core.interfaces import DataplaneSettings, StoreSettings
from spale_core.log import Log
from spale_core.monitor import locks, sockets
from spale_core.monitor.daemon import Daemon, Parts
from spale_core.monitor.keeper import SessionKeeper
from spale_core.monitor.signals import Signals
from spale_core.monitor.succession import Succession
from spale_core.monitor.supervisor import Supervisor
from spale_core.reconcile import Reconciler
from spale_core.spawn import Plan
from spale_core.tagtable import MAX_EPOCHS

if TYPE_CHECKING:
    from spale_core.config.settings import Settings
    from spale_core.interfaces import Dataplane, GrantStore
    from spale_core.plugins import InstalledPlugin

__all__ = ["run"]


def run(settings: Settings) -> int:
    """Run the daemon until a signal ends it; return its exit code.

    Raise SpaleError if it cannot start, with nothing attached that was not there, or cannot go on, with
    everything attached as it was.
    """
    clock = SystemClock()
    log = _open_log(settings, clock)
    available = plugins.installed()
    with ExitStack() as stack:
        stack.enter_context(locks.held(log.interfaces, settings.name))
        signals = stack.enter_context(Signals())
        selector = stack.enter_context(selectors.DefaultSelector())
        store = _open_store(settings, available, log)
        stack.callback(store.close)
        supervisor = Supervisor(_make_plan(settings, available, log, stack), selector)
        # Only now is it certain that no earlier daemon still takes knocks.
        started = read(clock)
        stack.callback(supervisor.end)
        # What is there by now is shared with every listener; the collector must not touch its pages.
        gc.freeze()
        # The listener prepares itself on another core while the program is loaded.
        supervisor.start(dict.fromkeys(store.identities()))
        dataplane = _make_dataplane(settings, available, log)
        stack.callback(dataplane.close)
        reconciler = Reconciler(settings, store, dataplane, started)
        keeper = SessionKeeper(settings, dataplane, log)
        succession = Succession(settings, dataplane, log)
        stack.callback(succession.close)
        parts = Parts(
            settings, clock, log, signals, selector, supervisor, dataplane, reconciler, keeper, succession
        )
        daemon = Daemon(parts)
        daemon.start()
        return daemon.serve()


def _open_log(settings: Settings, clock: SystemClock) -> Log:
    write = logs.syslog_writer() if settings.log_syslog else logs.write_to_stderr
    log = Log(write, clock, settings.log_level)
    log.interfaces = _interfaces(settings.interfaces)
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


def _make_plan(
    settings: Settings, available: tuple[InstalledPlugin, ...], log: Log, stack: ExitStack
) -> Plan:
    """Return what the listeners are to do; `stack` closes its sockets."""
    identity = privilege.resolve(settings.drop_privs)
    bound = sockets.bind(settings)
    for udp in bound:
        stack.enter_context(udp)
    return Plan(
        settings=settings,
        identity=identity,
        sockets=bound,
        interfaces=frozenset(log.interfaces),
        plugins=available,
    )


def _make_dataplane(settings: Settings, available: tuple[InstalledPlugin, ...], log: Log) -> Dataplane:
    kind = plugins.Plugins([settings.dataplane], available).dataplane(settings.dataplane)
    return kind.make(
        DataplaneSettings(
            spa_port=settings.listen_port,
            rate=settings.rate,
            burst=settings.burst,
            max_grants=settings.max_grants,
            max_sources=settings.max_sources,
            max_tags=max(1, MAX_EPOCHS * len(settings.clients) * len(settings.server_keys)),
            max_sessions=settings.max_sessions,
            session_s=settings.session_s,
            log_only=settings.log_only,
            xdp_mode=settings.xdp_mode,
            pin_dir=settings.own(settings.pin_dir),
            pin_maps=settings.pin_maps,
            say=lambda message: log.emit(Warned(message=message)),
        )
    )


def _interfaces(names: tuple[str, ...]) -> dict[int, str]:
    """Return the interfaces by index; raise UnavailableError for one that is not there."""
    found = {}
    for name in names:
        try:
            found[socket.if_nametoindex(name)] = name
        except OSError as error:
            raise UnavailableError(f"interface {name!r}: {error.strerror}; see: ip -br link") from error
    return found
