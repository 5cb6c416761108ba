# SPDX-License-Identifier: MIT
"""How `spale detach` tells a running daemon not to put back what it takes off (docs/adr/0048).

By a flag in the settings of the very program: whoever removes that finds its maps by it, and the daemon has
them open. So it needs no socket, no file and no name that both agree on.
"""

from __future__ import annotations

import os
import struct
import time
from typing import TYPE_CHECKING

from spale_bpf import _abi, codec, libbpf

if TYPE_CHECKING:
    from collections.abc import Callable

LASTS_S = 10.0
"""How long a release holds from when it was heard: what is lost meanwhile was taken off on purpose.

Two sweeps: time enough to hear of it before the removal, and to miss the program after that.
"""

_SETTINGS = "spale_settings"
_ONLY = codec.index(0)
_FLAGS = struct.Struct("=4xI")
"""Where the flags are, in this ABI and in every other: behind its version."""


def announce(program_id: int) -> None:
    """Tell the daemon whose program this is, if there is one, that it is about to be taken off on purpose.

    Raise LibbpfError.
    """
    descriptor = libbpf.prog_get_fd_by_id(program_id)
    try:
        map_ids = libbpf.prog_info(descriptor).map_ids
    finally:
        os.close(descriptor)
    for map_id in map_ids:
        _announce_in(map_id)


def _announce_in(map_id: int) -> None:
    descriptor = libbpf.map_get_fd_by_id(map_id)
    try:
        info = libbpf.map_info(descriptor)
        if info.name == _SETTINGS and info.key_size == len(_ONLY) and info.value_size >= _FLAGS.size:
            _change(descriptor, info.value_size, lambda flags: flags | _abi.Flag.RELEASED)
    finally:
        os.close(descriptor)


class Release:
    """The daemon's ear."""

    def __init__(self, settings_fd: int, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        """Listen at the settings map of our own programs."""
        self._fd = settings_fd
        self._monotonic_s = monotonic_s
        self._until_s = 0.0

    def is_on(self) -> bool:
        """Return whether what is lost now was taken off on purpose. Raise LibbpfError."""
        before = _change(self._fd, _abi.SETTINGS.size, lambda flags: flags & ~_abi.Flag.RELEASED)
        now_s = self._monotonic_s()
        if before & _abi.Flag.RELEASED:
            self._until_s = now_s + LASTS_S
        return now_s < self._until_s


def _change(descriptor: int, size: int, change: Callable[[int], int]) -> int:
    """Change the flags, write them only if that makes a difference, and return what they were."""
    value = libbpf.map_lookup(descriptor, _ONLY, size) or bytes(size)
    (before,) = _FLAGS.unpack_from(value)
    after = int(change(before))
    if after != before:
        libbpf.map_update(descriptor, _ONLY, value[:4] + struct.pack("=I", after) + value[8:])
    return int(before)
