# SPDX-License-Identifier: MIT
"""What a method may answer: a value at once, rows piece by piece, or something that comes later. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from spale_core.control import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from spale_core.errors import SpaleError

    Tell = Callable[[Mapping[str, object] | SpaleError], None]
    """Is told a result, or why there is none; once."""

PIECE: Final = 50
"""So many rows, those that are left out counted too, are made at a time."""


@frozen
class Rows:
    """A result that is a list, or `head` with a list as its last entry, `key`.

    An iterator's None is no row: it only says that there was something to do.
    """

    rows: Iterable[Mapping[str, object] | None]
    head: Mapping[str, object] = field(factory=dict)
    key: str = ""


@frozen
class Whole:
    """A result that takes a while to find: the last value of `pieces`, where None says "not yet"."""

    pieces: Iterable[Mapping[str, object] | None]


@frozen
class Later:
    """A result that somebody else will tell: ``ask(tell)`` returns at once."""

    ask: Callable[[Tell], None]


class Production:
    """Makes the line of an answer, a piece at a time."""

    def __init__(self, number: wire.Id, answer: Rows | Whole) -> None:
        """Begin with nothing made."""
        self._opening = wire.opening(number)
        self._is_open = False
        self._answer = answer
        self._source: Iterator[Mapping[str, object] | None] = iter(
            answer.rows if isinstance(answer, Rows) else answer.pieces
        )
        self._last: Mapping[str, object] | None = None
        self._separator = b""
        self.is_done = False

    @property
    def has_begun(self) -> bool:
        """Tell whether a part of the line is out, so that no error can be told instead."""
        return self._is_open

    def piece(self, limit: Callable[[], bool]) -> bytes:
        """Return the next part of the line; stop after `PIECE` rows, or when ``limit()`` says so.

        Raise whatever the rows raise.
        """
        made = []
        for _ in range(PIECE):
            try:
                row = next(self._source)
            except StopIteration:
                self.is_done = True
                break
            if row is not None:
                made.append(row)
            if limit():
                break
        return self._written(made)

    def _written(self, made: list[Mapping[str, object]]) -> bytes:
        if isinstance(self._answer, Whole):
            self._last = made[-1] if made else self._last
            return self._opening + wire.encode(self._last) + wire.CLOSING if self.is_done else b""
        parts = []
        if not self._is_open:
            self._is_open = True
            parts += [self._opening, _before(self._answer)]
        for row in made:
            parts += [self._separator, wire.encode(row)]
            self._separator = b","
        if self.is_done:
            parts += [b"]}" if self._answer.key else b"]", wire.CLOSING]
        return b"".join(parts)


def _before(answer: Rows) -> bytes:
    """Return what is before the first row."""
    if not answer.key:
        return b"["
    empty = wire.encode({**answer.head, answer.key: []})
    return empty[: -len(b"]}")]
