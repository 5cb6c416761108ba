# SPDX-License-Identifier: MIT
"""Programs and their maps, out of an object file or a compiler: what is asked of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from types import TracebackType


class Loadable(Protocol):
    """Sized first, loaded then; a context manager that closes it. Methods raise DataplaneError.

    Closing gives up the descriptors; what is attached stays attached.
    """

    @property
    def name(self) -> str:
        """Return what errors call it."""

    def __enter__(self) -> Self:
        """Return the object itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def set_max_entries(self, map_name: str, entries: int) -> None:
        """Size a map; only before `load`."""

    def set_program_flags(self, program: str, flags: int) -> None:
        """Set the BPF_F_* flags that `program` is loaded with; only before `load`."""

    def load(self) -> None:
        """Create the maps and load the programs."""

    def map_fd(self, name: str) -> int:
        """Return the descriptor of a map, owned by this object."""

    def program_fd(self, name: str) -> int:
        """Return the descriptor of a program, owned by this object."""

    def program_fds(self) -> dict[str, int]:
        """Return the descriptors of all programs by name, owned by this object."""

    def load_twin(self, name: str) -> int:
        """Load a program a second time, on the same maps; return its descriptor, owned by this object."""

    def close(self) -> None:
        """Give up all descriptors. Idempotent."""
