# SPDX-License-Identifier: MIT
"""Relaying: every byte, both ends, and no longer than the server is there. Real sockets, pipes and files."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Self

import pytest
from attrs import define, field

if TYPE_CHECKING:
    from pathlib import Path

DEADLINE_S = 30
DATA = os.urandom(3 << 20)

PROGRAM = """
import socket, sys
from spale_core.cli.command import guarded
from spale_core.sending.relay import Relay

def run(arguments):
    Relay(socket.create_connection(("127.0.0.1", int(arguments[0])))).run()
    return 0

sys.exit(guarded("relay", run, None))
"""


@define
class Line:
    """A relay in a process of its own; `server` is the other end of its connection."""

    stdin: object = subprocess.PIPE
    process: subprocess.Popen[bytes] = None
    server: socket.socket = None
    _exit: ExitStack = field(factory=ExitStack)

    def __enter__(self) -> Self:
        """Start it."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(DEADLINE_S)
            command = [sys.executable, "-c", PROGRAM, str(listener.getsockname()[1])]
            streams = {"stdin": self.stdin, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            self.process = self._exit.enter_context(subprocess.Popen(command, **streams, bufsize=0))
            self._exit.callback(self.process.kill)
            self.server = self._exit.enter_context(listener.accept()[0])
            self.server.settimeout(DEADLINE_S)
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._exit.close()

    def ended(self) -> int:
        """Return its exit code."""
        return self.process.wait(DEADLINE_S)

    def heard(self) -> bytes:
        """Return what the server gets, to the end."""
        return b"".join(iter(lambda: self.server.recv(1 << 16), b""))


def test_every_byte_both_ways_and_half_closed() -> None:
    """The end of our input reaches the server, whose answer still comes, whole."""
    with Line() as line:
        sender = threading.Thread(target=lambda: (line.process.stdin.write(DATA), line.process.stdin.close()))
        sender.start()
        assert line.heard() == DATA
        sender.join()
        answer = threading.Thread(target=lambda: (line.server.sendall(DATA[::-1]), line.server.close()))
        answer.start()
        assert line.process.stdout.read(-1) == DATA[::-1]
        answer.join()
        assert line.ended() == 0


def test_the_server_closes_its_half_first() -> None:
    """Our reader sees the end, and what we still send arrives."""
    with Line() as line:
        line.server.sendall(b"bye")
        line.server.shutdown(socket.SHUT_WR)
        assert line.process.stdout.read(-1) == b"bye"
        line.process.stdin.write(b"and so on")
        line.process.stdin.close()
        assert line.heard() == b"and so on"
        assert line.ended() == 0


def test_it_ends_with_the_server() -> None:
    """Also where nobody ever ends our input."""
    with Line() as line:
        line.server.sendall(b"bye")
        line.server.close()
        assert line.process.stdout.read(-1) == b"bye"
        assert line.ended() == 0


def test_input_from_a_file(tmp_path: Path) -> None:
    """Which no operating system can wait for."""
    path = tmp_path / "input"
    path.write_bytes(DATA)
    with path.open("rb") as stdin, Line(stdin) as line:
        assert line.heard() == DATA
        line.server.close()
        assert line.ended() == 0


def test_input_that_does_not_wait() -> None:
    """A pipe that somebody has made non-blocking, at both ends of us."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with os.fdopen(writing, "wb", buffering=0) as pipe, Line(reading) as line:
        os.close(reading)
        assert line.server.sendall(b"first") is None
        assert line.process.stdout.read(5) == b"first"
        pipe.write(b"second")
        assert line.server.recv(6) == b"second"
        pipe.close()
        assert line.heard() == b""


def test_a_reader_that_is_gone_ends_it() -> None:
    """Nobody is left to be told."""
    with Line() as line:
        line.process.stdout.close()
        with suppress(OSError):  # it does not read what it cannot pass on
            line.server.sendall(DATA)
        assert line.ended() == 0


def test_a_connection_that_breaks_is_told() -> None:
    """Exit code 69, and one line."""
    with Line() as line:
        line.server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        line.server.close()
        assert line.ended() == 69
        assert b"relay: the connection broke: " in line.process.stderr.read(-1)


@pytest.mark.parametrize("size", [1, 65536, 1 << 20])
def test_pieces_go_as_they_come(size: int) -> None:
    """Nothing waits for more to come."""
    with Line() as line:
        for _ in range(5):
            line.process.stdin.write(DATA[:1])
            assert line.server.recv(1) == DATA[:1]
            sender = threading.Thread(target=line.server.sendall, args=(DATA[:size],))
            sender.start()
            got = b""
            while len(got) < size:
                got += line.process.stdout.read(1 << 20)
            sender.join()
            assert got == DATA[:size]
