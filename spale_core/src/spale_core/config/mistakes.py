# SPDX-License-Identifier: MIT
"""The mistakes of a configuration: all of them are collected, then raised at once."""

from __future__ import annotations

import re

from spale_core.errors import ConfigError

_PLAIN = re.compile(r"[\w./:@%+,=~-]+", re.ASCII)
_LINE = re.compile(r"[^ ]*?:(\d+): ")


class BadValueError(Exception):
    """A value that cannot be; its words are "what is wrong; what would be right"."""


def quoted(text: object) -> str:
    """Return `text` for a message: in quotes and escaped, so that nothing in it can break a line."""
    return ascii(str(text))


def shown(path: object) -> str:
    """Return a path for a message: as it is where that is harmless, else as `quoted`."""
    text = str(path)
    return text if _PLAIN.fullmatch(text) else quoted(text)


class Mistakes:
    """Collects the mistakes found so far; those of the file are told in the order of its lines."""

    def __init__(self) -> None:
        """Begin without any."""
        self._lines: dict[str, None] = {}

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self._lines)

    def add(self, label: str, words: str) -> None:
        """Record a mistake of what `label` names; `words` say what is wrong and what would be right."""
        self._lines[f"{label}: {words}"] = None

    def raise_all(self) -> None:
        """Raise ConfigError with a line for each, if there is one."""
        if self._lines:
            raise ConfigError("\n".join(sorted(self._lines, key=_line_number)))


def _line_number(words: str) -> int:
    """Return the line of the file that a mistake is in, 0 where it is in none."""
    found = _LINE.match(words)
    return int(found[1]) if found else 0
