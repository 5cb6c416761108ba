# SPDX-License-Identifier: MIT
"""The UDP sockets: bound by the monitor, which never reads them, and read by one listener after the other."""

from __future__ import annotations

import errno
import socket
import time
from typing import TYPE_CHECKING, Final

from spale_core.errors import PermissionDeniedError, UnavailableError

if TYPE_CHECKING:
    from spale_core.config.settings import Settings

_IP_PKTINFO: Final = 8  # <linux/in.h>; the socket module does not name it
_FREEBIND: Final = {  # the same
    socket.AF_INET: (socket.IPPROTO_IP, 15),
    socket.AF_INET6: (socket.IPPROTO_IPV6, 78),
}
_IPV6_OFF: Final = (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.EADDRNOTAVAIL)
_PATIENCE_S: Final = 2.0
_PAUSE_S: Final = 0.02


def bind(settings: Settings) -> tuple[socket.socket, ...]:
    """Return the bound sockets, IPv4 and IPv6; IPv6 is left out where it is off and no address was named.

    With WAIT_INTERFACE an address may come with its interface, and need not be there yet.
    Raise UnavailableError for an address or port that cannot be had.
    """
    free = settings.wait_interface
    made = [_bind(socket.AF_INET, str(settings.listen_addr), settings.listen_port, free=free)]
    try:
        made.append(_bind(socket.AF_INET6, str(settings.listen_addr6), settings.listen_port, free=free))
    except UnavailableError as error:
        cause = error.__cause__
        off = isinstance(cause, OSError) and cause.errno in _IPV6_OFF
        if not (off and settings.listen_addr6.is_unspecified):
            made[0].close()
            raise
    return tuple(made)


def _bind(family: socket.AddressFamily, address: str, port: int, *, free: bool) -> socket.socket:
    """Bind, and wait a little for the listener of a daemon that was killed to let go of the port."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return _open(family, address, port, free=free)
        except PermissionError as error:
            raise PermissionDeniedError(
                f"cannot listen on {address} port {port}: {error.strerror}"
            ) from error
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                text = f"cannot listen on {address} port {port}: {error.strerror}"
                raise UnavailableError(text) from error
        time.sleep(_PAUSE_S)


def _open(family: socket.AddressFamily, address: str, port: int, *, free: bool) -> socket.socket:
    udp = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        if family == socket.AF_INET6:
            udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            udp.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        if free:
            udp.setsockopt(*_FREEBIND[family], 1)
        udp.bind((address, port))
    except OSError:
        udp.close()
        raise
    return udp
