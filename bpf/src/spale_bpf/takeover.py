# SPDX-License-Identifier: MIT
"""Changing what hangs on interfaces so that it can be taken back."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from spale_bpf import libbpf
from spale_bpf.ownership import is_ours
from spale_core.errors import DataplaneError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType


class Takeover:
    """What an attach has changed so far: taken back, newest first, if its block raises.

    Descriptors of programs that were replaced are kept until the block ends, because a program that hangs
    nowhere and that nobody holds is gone.
    """

    def __init__(self, known: Mapping[int, int] | None = None) -> None:
        """Begin with nothing to take back; `known` are descriptors of programs of ours, by id.

        To get at others by id, and to be told their names, takes CAP_SYS_ADMIN.
        """
        self._known = known or {}
        self._steps = ExitStack()
        self._descriptors = ExitStack()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take back if the block has raised. Raise DataplaneError if that fails too."""
        with self._descriptors:
            if error is None:
                self._steps.pop_all()
                return
            try:
                self._steps.close()
            except DataplaneError as second:
                message = f"{error}; and it could not all be taken back: {second}"
                raise DataplaneError(message) from error

    def undo_by(self, step: Callable[..., object], *arguments: object) -> None:
        """Take back what has just been done by calling `step`."""
        self._steps.callback(step, *arguments)

    def is_ours(self, program_id: int) -> bool:
        """Return whether a loaded program is ours or the original's. Raise LibbpfError."""
        return program_id in self._known or is_ours(program_id)

    def hold(self, program_id: int) -> int:
        """Return a descriptor of a program that lives as long as the block. Raise LibbpfError."""
        known = self._known.get(program_id)
        descriptor = libbpf.prog_get_fd_by_id(program_id) if known is None else os.dup(known)
        self._descriptors.callback(os.close, descriptor)
        return descriptor
