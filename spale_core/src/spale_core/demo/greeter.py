# SPDX-License-Identifier: MIT
"""The service behind the protected port: says hello to whoever sends it something, by TCP and by UDP.

Runs as a process of its own in the server's namespace: ``python -m spale_core.demo.greeter 22/tcp 53/udp``.
"""

from __future__ import annotations

import selectors
import socket
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_MESSAGE_MAX = 2048


def main(arguments: Sequence[str]) -> None:
    """Serve every service of `arguments` on all addresses of both families, until killed."""
    with selectors.DefaultSelector() as selector:
        for argument in arguments:
            port, _, protocol = argument.partition("/")
            sock = _tcp(int(port)) if protocol == "tcp" else _udp(int(port))
            selector.register(sock, selectors.EVENT_READ, _accept if protocol == "tcp" else _greet_datagram)
        while True:
            for key, _ in selector.select():
                key.data(selector, key.fileobj)


def _dual_stack(kind: socket.SocketKind) -> socket.socket:
    """Return a socket for both families, or for IPv4 alone where IPv6 is off."""
    if not socket.has_dualstack_ipv6():
        return socket.socket(socket.AF_INET, kind)
    sock = socket.socket(socket.AF_INET6, kind)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    return sock


def _tcp(port: int) -> socket.socket:
    sock = _dual_stack(socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("", port))
    sock.listen(128)
    sock.settimeout(0)
    return sock


def _udp(port: int) -> socket.socket:
    sock = _dual_stack(socket.SOCK_DGRAM)
    sock.bind(("", port))
    sock.settimeout(0)
    return sock


def _accept(selector: selectors.BaseSelector, listener: socket.socket) -> None:
    try:
        connection, _ = listener.accept()
    except OSError:  # the client has gone already
        return
    connection.settimeout(0)
    selector.register(connection, selectors.EVENT_READ, _greet_stream)


def _greet_stream(selector: selectors.BaseSelector, connection: socket.socket) -> None:
    try:
        if connection.recv(_MESSAGE_MAX):
            connection.send(_hello(connection.getpeername()))
            return
    except OSError:  # reset, or the client reads nothing: nobody is there to be served
        pass
    selector.unregister(connection)
    connection.close()


def _greet_datagram(_selector: selectors.BaseSelector, sock: socket.socket) -> None:
    try:
        _, peer = sock.recvfrom(_MESSAGE_MAX)
        sock.sendto(_hello(peer), peer)
    except OSError:  # an error that an earlier answer met: nothing to do about it
        return


def _hello(peer: tuple[str, int] | tuple[str, int, int, int]) -> bytes:
    return f"hello {peer[0].removeprefix('::ffff:')}\n".encode()


if __name__ == "__main__":
    main(sys.argv[1:])
