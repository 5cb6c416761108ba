# SPDX-License-Identifier: MIT
"""Waiting for a port, against real sockets on loopback."""

from __future__ import annotations

import socket
import time
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from itertools import islice, repeat
from typing import TYPE_CHECKING

import pytest
from attrs import define

from spale_core.errors import UnavailableError
from spale_core.knock import Target
from spale_core.sending.waiting import Wait, knock_pauses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOOPBACK = ip_address("127.0.0.1")
DEADLINE_S = 10.0


@define
class Opener:
    """Does something at the `at`-th knock, and counts."""

    act: Callable[[], object]
    at: int = 1
    knocks: int = 0

    def knock(self) -> None:
        """Count, and act when it is time."""
        self.knocks += 1
        if self.knocks == self.at:
            self.act()


@contextmanager
def port() -> Iterator[socket.socket]:
    """Yield a TCP socket with a port where nobody listens yet."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as server:
        server.bind((str(LOOPBACK), 0))
        yield server


@contextmanager
def silent_port() -> Iterator[socket.socket]:
    """Yield a listening socket that answers nobody: its queue is full until somebody accepts."""
    with port() as server:
        server.listen(0)
        clients = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(4)]
        for client in clients:
            client.settimeout(0)
            client.connect_ex(server.getsockname())
        try:
            yield server
        finally:
            for client in clients:
                client.close()


def target(server: socket.socket) -> Target:
    """Return the server's place."""
    return Target(LOOPBACK, server.getsockname())


def nothing() -> None:
    """Knock without any effect."""


def test_an_open_port_is_found_at_once() -> None:
    """No knock more, and a connection that waits for what comes."""
    with port() as server:
        server.listen()
        opener = Opener(nothing)
        with Wait([target(server)], None, opener.knock, repeat(60.0)).connection(DEADLINE_S) as made:
            assert made.getpeername() == server.getsockname()
            assert made.gettimeout() is None
        assert opener.knocks == 0


def test_it_knocks_until_the_port_opens() -> None:
    """What opens after the third further knock is found then."""
    with port() as server:
        opener = Opener(server.listen, at=3)
        with Wait([target(server)], None, opener.knock, iter([0.02, 0.02, 0.02, 60.0])).connection(
            DEADLINE_S
        ):
            assert opener.knocks == 3


def test_a_port_that_was_silent_is_found_when_it_answers() -> None:
    """Whoever waits does not depend on the second after which the kernel asks again."""
    with silent_port() as server:

        def drain() -> None:
            server.listen(64)
            server.settimeout(0)
            with suppress(BlockingIOError):
                while True:
                    server.accept()[0].close()

        wait = Wait([target(server)], None, Opener(drain).knock, iter([0.1, *[60.0] * 9]))
        with wait.connection(DEADLINE_S) as made:
            assert made.getpeername() == server.getsockname()


def test_still_shut() -> None:
    """A port that never answers is told from one that refuses, when the time is over and not much later."""
    with silent_port() as server:
        began = time.monotonic()
        with pytest.raises(UnavailableError, match=r"127\.0\.0\.1: still shut; the server's log says why$"):
            Wait([target(server)], None, nothing, repeat(0.1)).connection(0.3)
        assert time.monotonic() - began >= 0.3


def test_refused() -> None:
    """Where nobody listens it is waited all the time that was given, as a service may be starting again."""
    began = time.monotonic()
    with port() as server, pytest.raises(UnavailableError, match=r"refused$"):
        Wait([target(server)], None, nothing, repeat(60.0)).connection(1.5)
    assert time.monotonic() - began >= 1.5


@define
class Roaming:
    """A target that cannot be tried the first few times, as by a laptop that is just waking."""

    place: tuple[str, int]
    lost: int = 3
    address = LOOPBACK

    @property
    def socket_address(self) -> tuple[str, int]:
        """Return where it is; to a broadcast address no connection can be begun."""
        self.lost -= 1
        return self.place if self.lost < 0 else ("255.255.255.255", 9)


def test_a_network_that_comes_up() -> None:
    """What could not even be tried is no reason to give up; when it can be, what was seen then is told."""
    with port() as server:
        server.listen()
        wait = Wait([Roaming(server.getsockname())], None, nothing, repeat(60.0))
        with wait.connection(DEADLINE_S) as made:
            assert made.getpeername() == server.getsockname()
    with silent_port() as server:
        wait = Wait([Roaming(server.getsockname())], None, nothing, repeat(60.0))
        with pytest.raises(UnavailableError, match="still shut"):
            wait.connection(2.0)


def test_every_address_is_tried_and_told() -> None:
    """One that refuses is in nobody's way."""
    with port() as shut, port() as server:
        server.listen()
        with Wait([target(shut), target(server)], None, nothing, repeat(60.0)).connection(DEADLINE_S) as made:
            assert made.getpeername() == server.getsockname()
    with port() as shut, silent_port() as silent:
        wait = Wait([target(shut), target(silent)], None, nothing, repeat(60.0))
        with pytest.raises(UnavailableError, match=r"refused; 127\.0\.0\.1: still shut"):
            wait.connection(1.0)


def test_it_connects_from_where_it_knocked() -> None:
    """The source that was chosen is the connection's too."""
    source = ip_address("127.0.0.9")
    with port() as server:
        server.listen()
        with Wait([target(server)], source, nothing, repeat(60.0)).connection(DEADLINE_S) as made:
            assert made.getsockname()[0] == str(source)


def test_knocks_keep_to_the_servers_rate() -> None:
    """A server lets three of a source through at once and three a second."""
    moments = [0.0]
    for pause in islice(knock_pauses(1), 10):
        moments.append(moments[-1] + pause)
    tokens, last = 3.0, 0.0
    for moment in moments:
        tokens, last = min(3.0, tokens + 3 * (moment - last)) - 1, moment
        assert tokens >= 0
    assert list(islice(knock_pauses(3), 3)) == [0.2, 0.2, 0.5]
