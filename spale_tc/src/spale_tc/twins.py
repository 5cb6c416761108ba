# SPDX-License-Identifier: MIT
"""A program that can be in two places of one chain: loaded twice, on the same maps (docs/adr/0047)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spale_bpf import libbpf

if TYPE_CHECKING:
    from collections.abc import Callable


class Twins:
    """A loaded program and, once that is needed, its twin."""

    def __init__(self, fd: int, load_twin: Callable[[], int]) -> None:
        """Take the program's descriptor; ``load_twin()`` returns that of another one that does the same."""
        self._load_twin = load_twin
        self._fds = {libbpf.prog_info(fd).id: fd}

    @property
    def ids(self) -> frozenset[int]:
        """Return the ids of what is loaded."""
        return frozenset(self._fds)

    @property
    def fds(self) -> dict[int, int]:
        """Return the descriptors of what is loaded, by id."""
        return dict(self._fds)

    def fd(self, program_id: int) -> int:
        """Return the descriptor of the one with this id."""
        return self._fds[program_id]

    @property
    def first_fd(self) -> int:
        """Return the descriptor of the one that was loaded first."""
        return next(iter(self._fds.values()))

    def other_than(self, program_id: int | None) -> int:
        """Return a descriptor of one that has not this id. Raise LibbpfError if the twin cannot be loaded."""
        if self._fds.keys() == {program_id}:
            twin = self._load_twin()
            self._fds[libbpf.prog_info(twin).id] = twin
        return next(fd for each, fd in self._fds.items() if each != program_id)
