# SPDX-License-Identifier: MIT
"""The maps of programs that an earlier daemon left on interfaces, found through those programs.

Only maps of this very ABI are read (docs/adr/0072); finding them takes CAP_SYS_ADMIN.
"""

from __future__ import annotations

import errno
import os
import struct
from typing import TYPE_CHECKING

from spale_bpf import _abi, codec, libbpf
from spale_bpf.ownership import is_ours
from spale_bpf.programs import program_ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from spale_bpf.interface import Interface
    from spale_core.model import Grant, Session

    MapSet = Mapping[str, int]
    """Descriptors of one program's maps, by name."""

_SETTINGS, _GRANTS, _SESSIONS = "spale_settings", "spale_grants", "spale_sessions"
READ = (_SETTINGS, _GRANTS, _SESSIONS)
"""The maps that are read."""

_VERSION = struct.Struct("=I")
"""What settings begin with, in every ABI."""

_NOT_FOR_US = (errno.ENOENT, errno.EPERM)
"""The program or map is gone meanwhile; or we lack the privilege to look."""


class Predecessor:
    """Grants and sessions in the maps of an earlier daemon, or of several."""

    def __init__(self, found: Iterable[MapSet]) -> None:
        """Own these maps."""
        self._found = list(found)

    def grants(self) -> list[Grant]:
        """Return its grants, the latest where two have the same."""
        grants = (codec.grant(key, value) for key, value in self._items(_GRANTS))
        latest = {(grant.source, grant.service): grant for grant in sorted(grants, key=lambda g: g.last_ns)}
        return list(latest.values())

    def sessions(self) -> list[Session]:
        """Return its sessions, the latest where two have the same."""
        sessions = (codec.session(key, value) for key, value in self._items(_SESSIONS))
        return list({each.connection: each for each in sorted(sessions, key=lambda s: s.last_ns)}.values())

    def close(self) -> None:
        """Give up descriptors."""
        while self._found:
            close_all(self._found.pop())

    def _items(self, name: str) -> Iterator[tuple[bytes, bytes]]:
        shape = _abi.MAPS[name]
        for maps in self._found:
            # A walk may meet an entry twice while others come and go.
            yield from dict(libbpf.map_items(maps[name], shape.key_size, shape.value_size)).items()


def find(interfaces: Iterable[Interface]) -> Predecessor | None:
    """Return what programs of ours that hang on `interfaces` left; None without any. Raise DataplaneError."""
    found: dict[tuple[int, ...], MapSet] = {}
    for interface in interfaces:
        for program_id in program_ids(interface):
            map_ids = _map_ids(program_id)
            if map_ids and map_ids not in found:
                maps = _open(map_ids)
                if is_readable(maps):
                    found[map_ids] = maps
                else:
                    close_all(maps)
    return Predecessor(found.values()) if found else None


def _map_ids(program_id: int) -> tuple[int, ...]:
    """Return the ids of the program's maps, in order; none if it is not ours or cannot be asked."""
    try:
        if not is_ours(program_id):
            return ()
        descriptor = libbpf.prog_get_fd_by_id(program_id)
    except libbpf.LibbpfError as error:
        if error.number in _NOT_FOR_US:
            return ()
        raise
    try:
        return tuple(sorted(libbpf.prog_info(descriptor).map_ids))
    finally:
        os.close(descriptor)


def _open(map_ids: Iterable[int]) -> dict[str, int]:
    """Return the descriptors of those that are read, by name."""
    maps: dict[str, int] = {}
    for map_id in map_ids:
        try:
            descriptor = libbpf.map_get_fd_by_id(map_id)
        except libbpf.LibbpfError as error:
            if error.number in _NOT_FOR_US:
                continue
            raise
        name = libbpf.map_info(descriptor).name
        if name in READ and name not in maps:
            maps[name] = descriptor
        else:
            os.close(descriptor)
    return maps


def is_readable(maps: MapSet) -> bool:
    """Tell whether all are there and of this ABI: the version says so, and so do the sizes."""
    for name in READ:
        if name not in maps:
            return False
        info, shape = libbpf.map_info(maps[name]), _abi.MAPS[name]
        if (info.key_size, info.value_size) != (shape.key_size, shape.value_size):
            return False
    settings = libbpf.map_lookup(maps[_SETTINGS], codec.index(0), _abi.SETTINGS.size)
    return settings is not None and _VERSION.unpack_from(settings) == (_abi.ABI_VERSION,)


def close_all(maps: MapSet) -> None:
    """Give up these descriptors."""
    for descriptor in maps.values():
        os.close(descriptor)
