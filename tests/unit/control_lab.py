# SPDX-License-Identifier: MIT
"""A management socket without a daemon: its server, one turn at a time, and a desk that tests can furnish."""

from __future__ import annotations

import json
import selectors
import socket
import time
from contextlib import ExitStack

from attrs import define, field
from office import SETTINGS, Office

from spale_core.allowlist import Allowlist
from spale_core.clock import read
from spale_core.control import socketfile
from spale_core.control.server import Server
from spale_core.errors import UsageError
from spale_core.manual import Wish

TURNS = 10_000


@define
class PaperDesk:
    """What the monitor would show, of a reconciler of paper."""

    office: Office
    settings: object = SETTINGS
    counters: dict = field(factory=dict)
    last_knocks: dict = field(factory=dict)
    interfaces: dict = field(factory=lambda: {3: "eth0"})
    version: str = "1.2.3"
    pid: int = 7
    tells: list = field(factory=list)

    @property
    def holdings(self):
        """Return who holds what."""
        return self.office.reconciler.holdings

    @property
    def owners(self):
        """Return whose sessions are whose."""
        return self.office.reconciler.owners

    @property
    def dataplane(self):
        """Return what enforces."""
        return self.office.dataplane

    def now(self):
        """Return what time it is."""
        return read(self.office.clock)

    def status(self):
        """Return nearly nothing."""
        return {"pid": 7}

    @property
    def allowed_by_hand(self):
        """Return what was added to the list of what needs no knock."""
        return self._allowlist.by_hand()

    @property
    def _allowlist(self):
        office = self.office
        return Allowlist(self.settings.always_allow, office.store, office.dataplane)

    def authorize(self, source, services, windows_s):
        """Do it."""
        wish = Wish(source, services, *windows_s)
        return [grant.service for grant in self.office.reconciler.manual.authorize(wish, self.now())]

    def withdraw(self, source, services):
        """Do it."""
        return self.office.reconciler.manual.withdraw(source, services, self.now())

    def allow(self, prefix):
        """Do it."""
        self._allowlist.add(prefix)

    def disallow(self, prefix):
        """Do it."""
        self._allowlist.delete(prefix)

    def confirm(self):
        """Say that there is nothing to confirm."""
        raise UsageError("there is no trial")

    def revoke(self, client):
        """Do it."""
        return self.office.reconciler.revoke(client, self.now())

    def reload(self, tell):
        """Keep who is to be told, for the test to tell."""
        self.tells.append(tell)


class Lab:
    """A server in a folder, and those who call it."""

    def __init__(self, folder):
        """Take calls."""
        self.path = folder / "spale.sock"
        self.office = Office()
        self.desk = PaperDesk(self.office)
        self.selector = selectors.DefaultSelector()
        self.server = Server(self.selector, self.desk)
        self.exits = ExitStack()
        self.exits.callback(self.selector.close)
        self.exits.callback(self.server.close)
        self.server.open(self.exits.enter_context(socketfile.bound(self.path, None)), None)

    def caller(self):
        """Return a connected socket that does not block."""
        sock = self.exits.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        sock.connect(str(self.path))
        sock.settimeout(0)
        return sock

    def turn(self):
        """Do what the daemon's loop does each time round; return how many were ready."""
        ready = self.selector.select(0)
        for key, _ in ready:
            assert self.server.notes(key.data)
        self.server.turn()
        return len(ready)

    def settle(self):
        """Turn until nothing is to do."""
        for _ in range(TURNS):
            if not self.turn():
                return
        raise AssertionError("there is always something to do")

    def ask(self, sock, line):
        """Send bytes; return the objects that come back, None behind them if the server hung up."""
        try:
            sock.send(line)
        except OSError:
            return [None]
        return self.hear(sock)

    def hear(self, sock):
        """Return what comes back until nothing is to do."""
        received, is_over = b"", False
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            busy = self.turn()
            try:
                piece = sock.recv(1 << 20)
            except BlockingIOError:
                if not busy:
                    break
                continue
            received += piece
            if not piece:
                is_over = True
                break
        return [json.loads(each) for each in received.splitlines()] + [None] * is_over

    def call(self, method, **params):
        """Return the result of a call, or the error's code and message."""
        line = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        (answer,) = self.ask(self.caller(), line.encode() + b"\n")
        if "error" in answer:
            return answer["error"]["code"], answer["error"]["message"]
        return answer["result"]

    def close(self):
        """Leave nothing behind."""
        self.exits.close()
