# SPDX-License-Identifier: MIT
"""Who is at the other end of the management socket, as the kernel says, and what they may do."""

from __future__ import annotations

import os
import socket
import struct
from typing import Final

ADMIN: Final = "admin"
READER: Final = "reader"

_SO_PEERGROUPS: Final = 59  # <asm-generic/socket.h>, Linux 4.13; the socket module does not name it
_CREDENTIALS: Final = struct.Struct("=iII")
_GID: Final = struct.Struct("=I")
_MOST: Final = 1024
"""The longest list in bytes that Python asks for: 256 groups. Who has more is known by the first one only."""


def role_of(sock: socket.socket, group: int | None) -> str | None:
    """Return what the peer of `sock` may do, None for nothing; members of `group` may read. Raise OSError."""
    packed = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, gid = _CREDENTIALS.unpack(packed)
    if uid in {0, os.geteuid()}:
        return ADMIN
    if group is None:
        return None
    return READER if gid == group or group in _groups(sock) else None


def _groups(sock: socket.socket) -> set[int]:
    """Return the peer's further groups, as they were when it connected."""
    try:
        packed = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _MOST)
    except OSError:
        return set()
    return {gid for (gid,) in _GID.iter_unpack(packed)}
