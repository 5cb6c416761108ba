# SPDX-License-Identifier: MIT
"""Maps read as one likes to go on: a few entries per system call, with a descriptor of their own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from spale_bpf import libbpf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spale_bpf import _abi

_AT_ONCE: Final = 128
"""So many entries take the kernel some ten microseconds."""


class _Descriptor:
    """One of a map that may be closed meanwhile; its number must not become another map's."""

    def __init__(self, fd: int) -> None:
        self.fd = os.dup(fd)

    def __del__(self) -> None:
        os.close(self.fd)


def browse(fd: int, shape: _abi.MapShape) -> Iterator[tuple[bytes, bytes]]:
    """Return keys and values of the map `fd`, which may be closed before they are taken.

    Entries that come or go meanwhile may be missing or come twice. Taking one may raise LibbpfError.
    """
    return _walk(_Descriptor(fd), shape)


def _walk(descriptor: _Descriptor, shape: _abi.MapShape) -> Iterator[tuple[bytes, bytes]]:
    yield from libbpf.map_items(descriptor.fd, shape.key_size, shape.value_size, at_once=_AT_ONCE)
