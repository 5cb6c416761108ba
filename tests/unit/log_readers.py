# SPDX-License-Identifier: MIT
"""Real terminals, pipes, sockets and files that lines are written to, and who reads them."""

from __future__ import annotations

import os
import pty
import re
import socket
from contextlib import ExitStack, closing, contextmanager

from spale_core.clock import SystemClock
from spale_core.demo.poll import until
from spale_core.outlet import Outlet

STAMPED = re.compile(r"(.*) time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
PIECE = 2**20
PATIENCE_S = 30


class Reader:
    """Whoever reads what is written to `descriptor`."""

    def __init__(self, descriptor, end):
        """Read from `end`, without waiting."""
        self.descriptor = descriptor
        self._end = end
        os.set_blocking(end, False)

    def read(self):
        """Return what has come."""
        found = b""
        while True:
            try:
                piece = os.read(self._end, PIECE)
            except BlockingIOError:
                return found
            found += piece
            if not piece:
                return found

    def lines(self):
        """Return the lines that have come, without their times; a terminal's come a moment later."""
        said = []
        until(lambda: said.append(self.read()) or b"".join(said).endswith(b"\n"), PATIENCE_S)
        return [STAMPED.fullmatch(line)[1] for line in b"".join(said).decode().splitlines()]


def _pipe(_folder):
    end, descriptor = os.pipe()
    return descriptor, end


def _terminal(_folder):
    end, descriptor = pty.openpty()
    return descriptor, end


def _socket(_folder):
    end, descriptor = socket.socketpair()
    return descriptor.detach(), end.detach()


def _file(folder):
    path = folder / "log"
    return os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), os.open(path, os.O_RDONLY)


KINDS = {"pipe": _pipe, "terminal": _terminal, "socket": _socket, "file": _file}


@contextmanager
def opening(folder):
    """Give a function that makes a descriptor of some kind, and who reads what is written to it."""
    with ExitStack() as stack:

        def make(kind):
            descriptor, end = KINDS[kind](folder)
            stack.callback(os.close, descriptor)
            stack.callback(os.close, end)
            return Reader(descriptor, end)

        yield make


@contextmanager
def outlets():
    """Give a function that makes an outlet."""
    with ExitStack() as stack:
        yield lambda *ways: stack.enter_context(closing(Outlet(SystemClock(), *ways)))


def received(receiver):
    """Return the datagrams that have come."""
    found = []
    while True:
        try:
            found.append(receiver.recv(PIECE))
        except BlockingIOError:
            return found
