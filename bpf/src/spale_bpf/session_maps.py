# SPDX-License-Identifier: MIT
"""The maps of sessions: programs write keys and values there too, while user space looks and changes.

So nothing is changed that is not still as it was when it was read. What a program writes between a look and a
change of ours, some microseconds, the next sweep sees and puts right; only a session that was restarted in
that time must not be removed, and is not.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from spale_bpf import codec, libbpf
from spale_bpf.browse import browse
from spale_bpf.maps import Table, all_or_none

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from spale_core.model import Service, Session, Source


class SessionMaps:
    """Sessions and how many each source and service has, in maps that `map_fd` finds by name."""

    def __init__(self, map_fd: Callable[[str], int]) -> None:
        """Leave the maps as they are."""
        self._sessions = Table("spale_sessions", map_fd("spale_sessions"))
        self._counts = Table("spale_session_counts", map_fd("spale_session_counts"))

    def sessions(self) -> list[Session]:
        """Return the sessions in the kernel."""
        shape = self._sessions.shape
        items = libbpf.map_items(self._sessions.fd, shape.key_size, shape.value_size)
        # A walk may meet an entry twice while others come and go.
        return [codec.session(key, value) for key, value in dict(items).items()]

    def browse_sessions(self) -> Iterator[Session]:
        """Return the sessions in the kernel, a few per system call."""
        found = browse(self._sessions.fd, self._sessions.shape)
        return (codec.session(key, value) for key, value in found)

    def put_sessions(self, sessions: Sequence[Session]) -> None:
        """Install or replace `sessions`, all or none.

        Raise DataplaneError, after putting back what was there, if the map is full.
        """
        with all_or_none() as undo:
            for session in sessions:
                key = codec.session_key(session.connection)
                self._sessions.put(key, codec.session_value(session), undo)

    def change_sessions(self, changes: Iterable[tuple[Session, Session]]) -> None:
        """Put the second of each pair in the place of the first, if that is there and was not restarted."""
        for before, after in changes:
            key = codec.session_key(before.connection)
            value = libbpf.map_lookup(self._sessions.fd, key, self._sessions.shape.value_size)
            if value is not None and codec.is_same_session(value, before):
                self._write(key, codec.session_value(after), libbpf.BPF_EXIST)

    def end_sessions(self, sessions: Iterable[Session]) -> None:
        """Remove `sessions`; one that was restarted since goes back, unless there is a newer one by then."""
        for session in sessions:
            key = codec.session_key(session.connection)
            value = libbpf.map_take(self._sessions.fd, key, self._sessions.shape.value_size)
            if value is not None and codec.opened_ns(value) != session.opened_ns:
                self._write(key, value, libbpf.BPF_NOEXIST)

    def _write(self, key: bytes, value: bytes, flags: int) -> None:
        """Write unless `flags` forbid it: the entry has gone, or come, in the meantime."""
        try:
            libbpf.map_update(self._sessions.fd, key, value, flags)
        except libbpf.LibbpfError as error:
            if error.number not in (errno.EEXIST, errno.ENOENT):
                raise

    def set_session_counts(self, counts: Mapping[tuple[Source, Service], int]) -> None:
        """Write `counts`, and remove all others."""
        wanted = {codec.grant_key(*pair): codec.index(number) for pair, number in counts.items()}
        shape = self._counts.shape
        found = dict(libbpf.map_items(self._counts.fd, shape.key_size, shape.value_size))
        for key in found.keys() - wanted.keys():
            libbpf.map_delete(self._counts.fd, key)
        for key, number in wanted.items():
            if found.get(key) != number:
                libbpf.map_update(self._counts.fd, key, number)
