# SPDX-License-Identifier: MIT
"""A client's bundle as a QR code on the terminal, for a phone to take a picture of."""

from __future__ import annotations

import os
import sys
from itertools import zip_longest
from typing import Final

from spale_core.errors import UnavailableError, UsageError

_HALVES: Final = {(0, 0): "█", (0, 1): "▀", (1, 0): "▄", (1, 1): " "}
"""Two modules, one above the other, as a character that is drawn where they are light."""

_WHITE_ON_BLACK = "\x1b[38;5;231;48;5;16m"
_AS_BEFORE = "\x1b[0m"
_WARNING = (
    "spale-keygen: warning: whoever sees this code, or a picture or recording of it, has the private key;"
    " clear the screen when it is scanned\n"
)


def draw(content: bytes) -> list[str]:
    """Return the lines of a QR code of `content`, for a terminal of whatever colours.

    Raise UsageError if what is printed goes anywhere but to a terminal; UnavailableError without segno, or if
    the code does not fit on the screen.
    """
    if not sys.stdout.isatty():
        raise UsageError("--qr shows a private key, so it prints to a terminal only, to no file and no pipe")
    try:
        import segno  # noqa: PLC0415 - optional, and only needed here
    except ImportError:
        raise UnavailableError("--qr needs the package segno: pip install 'spale-core[qr]'") from None
    code = segno.make(content, error="l", boost_error=False, micro=False)
    rows = [tuple(row) for row in code.matrix_iter(border=4)]
    dark_row = (1,) * len(rows[0])
    lines = [
        "".join(_HALVES[pair] for pair in zip(upper, lower, strict=True))
        for upper, lower in zip_longest(rows[::2], rows[1::2], fillvalue=dark_row)
    ]
    _refuse_what_does_not_fit(lines)
    return [f"{_WHITE_ON_BLACK}{line}{_AS_BEFORE}" for line in lines]


def _refuse_what_does_not_fit(lines: list[str]) -> None:
    """Raise UnavailableError for a code that would be broken or scroll away, or cannot be printed."""
    encoding = sys.stdout.encoding
    try:
        "".join(_HALVES.values()).encode(encoding)
    except UnicodeEncodeError:
        raise UnavailableError(f"--qr needs a terminal that knows UTF-8; this one has {encoding}") from None
    screen = os.get_terminal_size(sys.stdout.fileno())
    width, height = len(lines[0]), len(lines) + 1
    # A terminal that does not tell its size says 0.
    if 0 < screen.columns < width or 0 < screen.lines < height:
        raise UnavailableError(
            f"the code needs {width} columns and {height} lines; this terminal has {screen.columns} and"
            f" {screen.lines}: enlarge it, or make its letters smaller"
        )


def show(lines: list[str]) -> None:
    """Print what `draw` returned, and warn."""
    sys.stderr.write(_WARNING)
    sys.stderr.flush()
    sys.stdout.write("".join(f"{line}\n" for line in lines))
