# SPDX-License-Identifier: MIT
"""A plugin for tests, ``rigged``: the real store, enforcer and authenticator, in a machine that tests turn.

The file ``rig`` beside this module says which boot this is, how far the wall clock is off, for how long the
machine slept, and at which step which process is to be killed, once. It is mapped, so that the listener, too,
sees at once what is turned.
"""

from __future__ import annotations

import json
import mmap
import os
import signal
import threading
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from attrs import evolve

from spale_core import plugins
from spale_core.clock import SystemClock
from spale_core.hookspecs import hookimpl
from spale_core.interfaces import AuthScheme, DataplaneKind, StoreKind
from spale_core.stores.hosttime import HostTime
from spale_core.stores.sqlite import SqliteStore

NS_PER_S = 10**9
SIZE = 4096
FAULT = slice(2048, SIZE)
"""Where the fault is; what is before it is the rest. Each is JSON, and zeros."""


@cache
def _mapped():
    with Path(__file__).with_name("rig").open("r+b") as file:
        return mmap.mmap(file.fileno(), SIZE)


def _set(key):
    return json.loads(_mapped()[: FAULT.start].rstrip(b"\0"))[key]


def reach(step):
    """Kill whom the armed fault names if this is its step."""
    armed = json.loads(_mapped()[FAULT].rstrip(b"\0") or b"null")
    if armed is None or armed["step"] != step:
        return
    _mapped()[FAULT] = bytes(SIZE - FAULT.start)
    if armed["victim"] == "listener" and step in MONITOR_STEPS:
        (listener,) = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        os.kill(int(listener), signal.SIGKILL)
    elif armed["victim"] == "monitor" and step in LISTENER_STEPS:
        # The listener has no right to kill it: the test does that, while this step lasts.
        for_ever = threading.Lock()
        with for_ever, for_ever:
            pass
    elif step in LISTENER_STEPS:
        # Nor to kill itself; this is as sudden.
        os._exit(os.EX_SOFTWARE)
    else:
        os.kill(os.getpid(), signal.SIGKILL)


MONITOR_STEPS = (
    "claim taken",
    "remembered",
    "held",
    "before commit",
    "committed",
    "before the kernel",
    "granted",
)
LISTENER_STEPS = ("received", "opened")


class RiggedTime(HostTime):
    """The machine's clocks, in the boot and at the time that the rig says."""

    def boot_id(self):
        """Return the rig's."""
        return _set("boot")

    def read(self):
        """Return the present instant, the wall clock shifted."""
        now = super().read()
        slept_ns = _set("slept_s") * NS_PER_S
        return evolve(
            now, unix_ms=now.unix_ms + _set("shift_s") * 1000, boottime_ns=now.boottime_ns + slept_ns
        )


class RiggedStore(SqliteStore):
    """The real one; it reaches a step before or after each thing that it does for a knock."""

    _has_claim = False

    @contextmanager
    def transaction(self):
        """Do it, between two steps; a sweep reaches none."""
        self._has_claim = False
        with super().transaction():
            yield
            if self._has_claim:
                reach("before commit")
        if self._has_claim:
            reach("committed")

    def remember(self, *arguments):
        """Do it, between two steps."""
        reach("claim taken")
        self._has_claim = True
        is_new = super().remember(*arguments)
        reach("remembered")
        return is_new

    def put(self, holding):
        """Do it, and reach a step."""
        super().put(holding)
        reach("held")


class _Rigged:
    """An object of another plugin; what the class defines comes first."""

    def __init__(self, real):
        self._real = real

    def __getattr__(self, name):
        return getattr(self._real, name)


class RiggedDataplane(_Rigged):
    """The real one, between two steps where it matters."""

    def allow(self, grants):
        """Do it, between two steps."""
        reach("before the kernel")
        self._real.allow(grants)
        reach("granted")


class RiggedAuthenticator(_Rigged):
    """The real one, between two steps where it matters."""

    def authenticate(self, datagram, seen):
        """Do it, between two steps."""
        reach("received")
        answer = self._real.authenticate(datagram, seen)
        reach("opened")
        return answer


@hookimpl
def spale_register_grant_stores():
    """Offer the store; called before the listener is forked, so that both have the clock and the map."""
    _mapped()
    wall, boottime = SystemClock.unix_ms, SystemClock.boottime_ns
    SystemClock.unix_ms = lambda clock: wall(clock) + _set("shift_s") * 1000
    SystemClock.boottime_ns = lambda clock: boottime(clock) + _set("slept_s") * NS_PER_S
    return (StoreKind("rigged", lambda settings: RiggedStore(settings, RiggedTime())),)


@hookimpl
def spale_register_dataplanes():
    """Offer the TC enforcer."""
    real = plugins.Plugins(["tc"]).dataplane("tc")
    return (DataplaneKind("rigged", lambda settings: RiggedDataplane(real.make(settings)), real.detach),)


@hookimpl
def spale_register_auth_schemes():
    """Offer HPKE."""
    real = plugins.Plugins(["hpke"]).auth_scheme("hpke")

    def make(keys, clients):
        return RiggedAuthenticator(real.make_authenticator(keys, clients))

    return (AuthScheme("rigged", make, real.make_requester),)
