# SPDX-License-Identifier: MIT
"""A plugin for tests, ``evil``: an authenticator that was taken over, and does what a test orders.

It runs where every authenticator runs, in the listener, and grasps what is there: the channel to the monitor
and the sockets. The file ``orders`` beside this module says what to do at the next knock, and takes what came
of it. It is mapped while the listener may open files.
"""

from __future__ import annotations

import ctypes
import errno
import itertools
import json
import mmap
import os
import socket
import sys
import threading
import time
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from struct import Struct

from attrs import evolve

from spale_core import ipc, plugins
from spale_core.hookspecs import hookimpl
from spale_core.interfaces import AuthScheme
from spale_core.model import EPOCH_S, Claim, Protocol, Refused, Service, Source, Tag

SIZE = 8192
ANSWER = slice(4096, SIZE)
"""Where the answer is; what is before it is the order. Each is JSON, and zeros."""

PTRACE_SEIZE = 0x4206
BPF = {"x86_64": 321, "aarch64": 280}
ARRAY = Struct("=4I112x").pack(2, 4, 4, 1)
"""What BPF_MAP_CREATE takes for an array of one number."""


@cache
def _mapped():
    with Path(__file__).with_name("orders").open("r+b") as file:
        return mmap.mmap(file.fileno(), SIZE)


class Evil:
    """An authenticator; it is honest while there are no orders."""

    def __init__(self, real):
        """Act as `real` does, until told otherwise."""
        self._real = real
        self.length = real.length

    def tags(self, epoch):
        """Return them."""
        return self._real.tags(epoch)

    def authenticate(self, datagram, seen):
        """Carry out the order, if there is one."""
        claim = self._real.authenticate(datagram, seen)
        order = json.loads(_mapped()[: ANSWER.start].rstrip(b"\0") or b"null")
        if order is None or not isinstance(claim, Claim):
            return claim
        _mapped()[: ANSWER.start] = bytes(ANSWER.start)
        answer = Captor(evolve(claim, ifindex=datagram.ifindex)).obey(**order)
        text = json.dumps(answer).encode()
        _mapped()[ANSWER] = text.ljust(SIZE - ANSWER.start, b"\0")
        if order["deed"] == "denied":
            raise PermissionError(errno.EPERM, "as the filter does it")
        return claim


class Captor:
    """Who has taken the listener over: he holds its channel, and a good claim to make others from."""

    def __init__(self, claim):
        """Grasp the loop in whose midst we are called."""
        frame = sys._getframe()
        while not hasattr(loop := frame.f_locals.get("self"), "_channel"):
            frame = frame.f_back
        self._channel, self._udp = loop._channel, loop._sockets[0]
        (place,) = [scheme.clients for scheme in loop._engine._schemes if len(scheme.clients) == 1]
        self._claim = evolve(claim, client=place[0])
        self._numbers = itertools.count()

    def obey(self, deed, **details):
        """Do it, and return what is to be told."""
        return getattr(self, f"_{deed}")(**details)

    def _denied(self):
        return "denied"

    def _say(self, record):
        """Say these very bytes."""
        self._channel.send(bytes.fromhex(record))

    def _claims(self, changes):
        """Say well-formed claims, each changed in one way."""
        for change in changes:
            self._channel.send(ipc.encode(self._fresh(**_values(change))))

    def _replay(self):
        """Say one and the same claim twice."""
        record = ipc.encode(self._fresh())
        self._channel.send(record)
        self._channel.send(record)

    def _tag(self, client, server_key, again):
        """Say a tag; `again`: twice in its epoch."""
        tag = Tag(client, server_key, self._epoch(), bytes(8), bytes(16))
        self._channel.send(ipc.encode(ipc.TagBatch(tag.epoch, (tag,) * (1 + again), last=True)))

    def _refused(self, client):
        """Say that something of a client was refused."""
        refused = Refused(ipc.LISTENER_REASONS[0], self._claim.source, client)
        self._channel.send(ipc.encode(refused))

    def _descriptor(self):
        """Pass a descriptor along with a good message."""
        return _name(lambda: socket.send_fds(self._channel, [ipc.encode(ipc.Alive())], [0]))

    def _flood(self, kind, count, clients):
        """Say so much, as fast as the channel takes it; return in how many seconds."""
        records = {"claims": self._many_claims, "tags": self._many_tags}[kind](clients)
        began, said = time.monotonic(), 0
        pause = threading.Lock()
        pause.acquire()
        while said < count:
            try:
                self._channel.send(next(records))
                said += 1
            except BlockingIOError:
                pause.acquire(timeout=0.001)
        return time.monotonic() - began

    def _many_claims(self, _clients):
        for number in itertools.count():
            source = Source(ip_address(f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"))
            yield ipc.encode(self._fresh(source=source))

    def _many_tags(self, clients):
        """Yield whole epochs around now, always with other tags, and far away ones."""
        for number in itertools.count():
            epoch = self._epoch() + (number % 4 - 1 if number % 2 else number)
            tags = (Tag(client, 0, epoch, os.urandom(8), os.urandom(16)) for client in range(clients))
            yield from map(ipc.encode, ipc.batches(epoch, tags))

    def _program(self):
        """Become another program."""
        return _name(lambda: os.execv("/bin/true", ["true"]))  # noqa: S606 - that is what is tried

    def _epoch(self):
        return self._claim.unix_ms // 1000 // EPOCH_S

    def _fresh(self, **changes):
        """Return a good claim with a time and an identity of its own, and `changes`."""
        unix_ms = self._claim.unix_ms + 1 + next(self._numbers)
        return evolve(self._claim, **{"enc": os.urandom(32), "unix_ms": unix_ms, **changes})

    def _calls(self, monitor):
        """Try what a program may usually do; return each error's name, or what came of it.

        There is no way back from another program; that is the deed `program`.
        """
        libc = ctypes.CDLL(None, use_errno=True)
        return {
            "file": _name(lambda: os.open("/dev/null", os.O_RDONLY)),
            "socket": _name(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
            "answer": _name(lambda: self._udp.sendto(b"secret", ("127.0.0.1", 9))),
            "fork": _name(os.fork),
            "kill": _name(lambda: os.kill(monitor, 0)),
            "root": _name(lambda: os.setuid(0)),
            "dumpable": _name(lambda: _asked(libc.prctl(4, 1, 0, 0, 0))),
            "ptrace": _name(lambda: _asked(libc.ptrace(PTRACE_SEIZE, monitor, 0, 0))),
            "bpf": _name(lambda: _asked(libc.syscall(BPF[os.uname().machine], 0, ARRAY, len(ARRAY)))),
            "code": _name(lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC)),
        }


def _asked(result):
    if result == -1:
        raise OSError(ctypes.get_errno(), "refused")
    return result


def _name(action):
    try:
        return repr(action())
    except OSError as error:
        return errno.errorcode[error.errno]


def _values(change):
    """Return what JSON says as what a claim has."""
    kinds = {
        "source": lambda text: Source(ip_address(text)),
        "services": lambda ports: frozenset(Service(Protocol.TCP, port) for port in ports),
        "enc": bytes.fromhex,
    }
    return {key: kinds.get(key, lambda value: value)(value) for key, value in change.items()}


@hookimpl
def spale_register_auth_schemes():
    """Offer HPKE as somebody else wants it."""
    _mapped()
    real = plugins.Plugins(["hpke"]).auth_scheme("hpke")
    return (
        AuthScheme(
            "evil", lambda keys, clients: Evil(real.make_authenticator(keys, clients)), real.make_requester
        ),
    )
