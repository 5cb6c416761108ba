# SPDX-License-Identifier: MIT
"""Standard input, output and error of a command: always there, and never the reason for a stack.

Who starts us may have closed them (``>&-``), stopped reading them (``| head``) or given a disk that is full.
Everything imported here is waited for by each knock: keep it light (ADR 0021).
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Final, Self, TextIO, cast

from spale_core.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

BROKEN_PIPE: Final = 141
"""What a shell says of a command that SIGPIPE ended: who read our output has seen enough."""

_STANDARD: Final = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))
"""In the order of their descriptors."""


class UnreadError(OutputError):
    """Nobody reads our output any more; that needs no words."""

    exit_code = BROKEN_PIPE


class Streams:
    """The standard streams for as long as a command runs.

    On entry, closed descriptors 0 to 2 are opened on the null device: else a file or socket that the command
    opens would get such a number, be taken for a standard stream, and be kept by the listener and by
    commands that we start. They close at exec, so another command finds them closed again.

    What cannot be written to standard output is an OutputError, to standard error is lost. On exit nothing
    is left in them that Python would write, and complain about, when it ends.
    """

    def __init__(self) -> None:
        """Change nothing yet."""
        self._before: list[tuple[str, TextIO]] = []

    def __enter__(self) -> Self:
        """Make them so. Raise OSError if one is closed and there is no null device."""
        _open_closed()
        for name, failed in (("stdout", _refuse), ("stderr", _ignore)):
            stream = getattr(sys, name)
            self._before.append((name, stream))
            setattr(sys, name, cast("TextIO", _Written(stream, failed)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give back what was there, empty."""
        for name, stream in self._before:
            try:
                stream.flush()
            except OSError:
                _forget(stream)
            setattr(sys, name, stream)


class _Written:
    """A stream whose failures to write go to a function; all else is the stream's own."""

    def __init__(self, stream: TextIO, failed: Callable[[OSError], None]) -> None:
        self._stream = stream
        self._failed = failed

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a stream has
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._failed(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._failed(error)


def _refuse(error: OSError) -> None:
    if isinstance(error, BrokenPipeError):
        raise UnreadError("nobody reads standard output") from None
    raise OutputError(f"standard output: {error.strerror}") from None


def _ignore(_error: OSError) -> None:
    """Say nothing: there is nowhere to say it."""


def _open_closed() -> None:
    for number, (name, mode) in enumerate(_STANDARD):
        try:
            os.fstat(number)
        except OSError:
            # Those below are open, so this is the lowest number that is free: the one it gets.
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, _text(number, mode))


def _text(number: int, mode: str) -> TextIO:
    """Return a stream as Python makes them at its start, for a descriptor that was closed then."""
    return cast("TextIO", open(number, mode, encoding="utf-8", errors="backslashreplace", closefd=False))


def _forget(stream: TextIO) -> None:
    """Let what `stream` holds and cannot write go nowhere."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        stream.flush()
    except (OSError, ValueError):
        return  # one without a descriptor, or no null device: nothing more can be done
