# SPDX-License-Identifier: MIT
"""Tables and times for people: lines of at most 80 printable ASCII characters. No I/O.

A cell that is too long for its column moves the rest of its row to the next line; words are broken at
blanks, and whatever is `whole`, such as an address, is never cut.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final, NamedTuple

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WIDTH: Final = 80

_GAP: Final = 2
_ENOUGH: Final = 32
"""So much is enough for a last column, whose sentences go on below."""

_UNITS: Final = ((48 * 3600, 86400, "days"), (120 * 60, 3600, "h"), (120, 60, "min"), (0, 1, "s"))
"""From how many seconds on a unit is used, how long it is, and its name."""


@frozen
class Column:
    """A column under `title`; `is_number` puts it to the right, `whole` cells are broken at blanks only."""

    title: str
    is_number: bool = False
    whole: bool = False


class Row(NamedTuple):
    """One row, and sentences about it that stand below, indented."""

    cells: Sequence[str]
    notes: Sequence[str] = ()


def plain(text: str) -> str:
    """Return `text` as it may be printed: all but printable ASCII as an escape of backslashes."""
    if text.isascii() and text.isprintable():
        return text
    return text.encode("unicode_escape").decode("ascii")


def word(text: str) -> str:
    """Return `text` as one word that may be printed."""
    return plain(text).replace(" ", "\\x20") or "-"


def table(columns: Sequence[Column], rows: Sequence[Row]) -> Iterator[str]:
    """Return the lines of a table: its titles, then the rows."""
    cells = [[plain(cell) for cell in row.cells] for row in rows]
    places = _places(columns, cells)
    yield from _row(columns, places, [column.title for column in columns])
    for row, printed in zip(rows, cells, strict=True):
        yield from _row(columns, places, printed)
        for note in row.notes:
            yield from paragraph(note, _GAP)


def paragraph(text: str, indent: int = 0, label: str = "") -> Iterator[str]:
    """Return the lines of a sentence at the column `indent`, with `label`, which is shorter, before it."""
    first, *more = _placed(plain(text), indent, whole=True)
    if label and first[:indent].strip():
        yield label
    elif label:
        first = label.ljust(indent) + first[indent:]
    yield first.rstrip()
    yield from more


def span(seconds: int | None) -> str:
    """Return a time's length in words; None has no end."""
    if seconds is None:
        return "without end"
    passed = max(0, seconds)
    length, unit = next((length, unit) for least, length, unit in _UNITS if passed >= least)
    return f"{passed // length} {unit}"


def ahead(seconds: int | None) -> str:
    """Return when something will be; None is never."""
    if seconds is None:
        return "never"
    return f"in {span(seconds)}" if seconds > 0 else "now"


def ago(seconds: int) -> str:
    """Return when something was."""
    return f"{span(seconds)} ago" if seconds > 0 else "just now"


def counted(number: int, noun: str) -> str:
    """Return how many there are of what `noun` calls one."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _places(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[tuple[int, int]]:
    """Return where each column begins, and how wide it is: as its longest cell, if all of that fits.

    Else columns become narrower where that breaks the fewest rows.
    """
    ladders = [
        _ladder(column, [row[index] for row in rows], _ENOUGH if index == len(columns) - 1 else WIDTH)
        for index, column in enumerate(columns)
    ]
    broken: set[int] = set()
    while sum(max(ladder) + _GAP for ladder in ladders) - _GAP > WIDTH:
        narrower = [ladder for ladder in ladders if len(ladder) > 1]
        if not narrower:
            break
        best = min(narrower, key=lambda ladder: (len(ladder[max(ladder)] - broken), -_gain(ladder)))
        broken |= best.pop(max(best))
    widths = [max(ladder) for ladder in ladders]
    return [(sum(widths[:index]) + _GAP * index, width) for index, width in enumerate(widths)]


def _ladder(column: Column, cells: Sequence[str], most: int) -> dict[int, set[int]]:
    """Return the widths that a column can have, and which rows need each."""
    ladder: dict[int, set[int]] = {len(column.title): set()}
    for index, cell in enumerate(cells):
        ladder.setdefault(max(len(column.title), min(len(cell), most)), set()).add(index)
    return ladder


def _gain(ladder: dict[int, set[int]]) -> int:
    """Return how much room the next narrower width saves."""
    widest, following = sorted(ladder, reverse=True)[:2]
    return widest - following


def _row(columns: Sequence[Column], places: Sequence[tuple[int, int]], cells: Sequence[str]) -> Iterator[str]:
    """Return the lines of one row; a column whose place is taken begins a new line."""
    line = ""
    for column, (start, width), cell in zip(columns, places, cells, strict=True):
        text = cell.rjust(width) if column.is_number else cell
        first, *more = _placed(text, start, whole=column.whole)
        if line and (len(line) > start - _GAP or first[:start].strip()):
            yield line.rstrip()
            line = ""
        line = line.ljust(start) + first[start:] if line else first
        for following in more:
            yield line.rstrip()
            line = following
    yield line.rstrip()


def _placed(text: str, start: int, *, whole: bool) -> list[str]:
    """Return the lines of a cell that begins at `start`; what is longer than the room moves to the left."""
    room = max(1, WIDTH - start)
    if len(text) <= room:
        return [" " * start + text]
    pieces = textwrap.wrap(text, room, break_long_words=not whole, break_on_hyphens=False) or [""]
    return [" " * min(start, max(0, WIDTH - len(piece))) + piece for piece in pieces]
