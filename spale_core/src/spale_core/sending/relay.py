# SPDX-License-Identifier: MIT
"""Relay between a connection and our standard input and output, as OpenSSH's ProxyCommand wants it.

Two plain loops, one of them in a thread: standard input may be a pipe, a terminal or a file, and Windows can
wait for none of these beside a socket.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import threading
from contextlib import suppress
from io import FileIO
from typing import Final

from spale_core.errors import UnavailableError

LINGER_S: Final = 1.0
"""When the server has closed, our input is still passed on until so long nothing has come: then it ends."""

_PIECE: Final = 1 << 18
_GONE: Final = {errno.EPIPE, errno.ECONNRESET, errno.EINVAL}
"""What writing to a pipe or socket says that nobody reads any more; Windows says EINVAL."""


class Relay:
    """One connection, and the descriptors `source`, which is read, and `sink`, which is written."""

    def __init__(self, connection: socket.socket, source: int = 0, sink: int = 1) -> None:
        """Let small pieces go at once, and a server that is gone be noticed, as ssh would without us."""
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._connection = connection
        self._source = FileIO(source, "rb", closefd=False)
        self._sink = FileIO(sink, "wb", closefd=False)
        self._passed = 0

    def run(self) -> None:
        """Relay until the server has closed; the end of our input is passed on before that.

        Raise UnavailableError if the connection breaks.
        """
        upward = threading.Thread(target=self._upward, daemon=True)
        upward.start()
        if not self._downward():
            return
        before = -1
        while upward.is_alive() and self._passed != before:
            before = self._passed
            upward.join(LINGER_S)

    def _downward(self) -> bool:
        """Pass on what the server sends, to its end; return False if nobody reads it any more."""
        space = memoryview(bytearray(_PIECE))
        while length := self._received(space):
            try:
                _write(self._sink, space[:length])
            except OSError as error:
                if error.errno in _GONE:
                    return False
                raise UnavailableError(f"standard output: {error.strerror}") from None
        # So the descriptor stays taken, and nothing else gets its number; its reader sees the end.
        with open(os.devnull, "wb", buffering=0) as nowhere:  # noqa: PTH123 - pathlib is not otherwise needed
            os.dup2(nowhere.fileno(), self._sink.fileno())
        return True

    def _received(self, space: memoryview) -> int:
        try:
            return self._connection.recv_into(space)
        except OSError as error:
            raise UnavailableError(f"the connection broke: {error.strerror or error}") from None

    def _upward(self) -> None:
        """Pass on what we are given, and its end. What goes wrong here, the other direction sees too."""
        space = memoryview(bytearray(_PIECE))
        with suppress(OSError):
            while length := _read(self._source, space):
                self._connection.sendall(space[:length])
                self._passed += length
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)


def _read(source: FileIO, space: memoryview) -> int:
    """Return how many bytes came, 0 at the end; wait for them also where reading does not."""
    while (length := source.readinto(space)) is None:
        select.select([source], [], [])
    return length


def _write(sink: FileIO, piece: memoryview) -> None:
    """Write all of `piece`, also where writing does not wait. Raise OSError."""
    while piece:
        written = sink.write(piece)
        if written is None:
            select.select([], [sink], [])
        else:
            piece = piece[written:]
