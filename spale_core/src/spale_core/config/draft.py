# SPDX-License-Identifier: MIT
"""The configuration while it is judged: the value that won for each key, and where it was written."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from attrs import frozen

from spale_core.config.keys import DEFINITIONS, by_key, by_option
from spale_core.config.mistakes import BadValueError, shown
from spale_core.config.reader import OPTION
from spale_core.config.values import refuse_control_characters

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from spale_core.config.definitions import ClientDefinition, Definition
    from spale_core.config.mistakes import Mistakes
    from spale_core.config.reader import Entry


@frozen
class Given:
    """A value and where it was written."""

    value: Any
    entry: Entry


class Draft:
    """What is known of the settings so far; a key with a mistake has no value, so nothing follows from it."""

    def __init__(self, path: Path, mistakes: Mistakes) -> None:
        """Begin with nothing from `path`."""
        self.path = path
        self.mistakes = mistakes
        self._given: dict[str, Given] = {}
        self._bad: set[str] = set()

    def take(self, entries: Iterable[Entry]) -> list[Entry]:
        """Read `entries`, which come in order of precedence; return those whose key is not known here."""
        seen: dict[tuple[int, str], Entry] = {}
        rest = []
        for entry in entries:
            definition = (by_option() if entry.layer == OPTION else by_key()).get(entry.key)
            if definition is None:
                rest.append(entry)
            elif self._is_first(definition, entry, seen):
                self._take(definition, entry)
        return rest

    def _is_first(self, definition: Definition, entry: Entry, seen: dict[tuple[int, str], Entry]) -> bool:
        """Tell whether `entry` is the only one of its layer, MODE and DATAPLANE counting as one key."""
        first = seen.setdefault((entry.layer, definition.key), entry)
        if first is entry:
            return True
        if first.key == entry.key:
            self.mistakes.add(entry.label, f"is set twice, first at {first.label}; keep one")
        elif first.text != entry.text:
            self.mistakes.add(entry.label, f"differs from {first.label}; they mean the same, so keep one")
        return False

    def _take(self, definition: Definition, entry: Entry) -> None:
        wins = not self.is_given(definition.key)
        value = read_value(definition, entry, self.mistakes)
        if not wins:
            return
        if value is None:
            self._bad.add(definition.key)
        else:
            self._given[definition.key] = Given(value, entry)

    def require(self) -> None:
        """Record what is required and missing."""
        for definition in DEFINITIONS:
            key = definition.key
            if definition.required and not self.is_given(key):
                option = definition.options[-1]
                words = f"is not set; write for example {key}={definition.example}, or give {option}"
                self.mistakes.add(self.label(key), words)
                self._bad.add(key)

    def is_given(self, key: str) -> bool:
        """Tell whether the operator wrote anything for `key`, good or bad."""
        return key in self._given or key in self._bad

    def value(self, key: str) -> Any:  # noqa: ANN401 - each key has its own type
        """Return the value of `key`, its default if nothing was given, None after a mistake."""
        if key in self._given:
            return self._given[key].value
        definition = by_option()[key]
        if key in self._bad or definition.default is None:
            return None
        return definition.kind.read(definition.default)

    def label(self, key: str) -> str:
        """Return where `key` was written, or that it is missing from the file."""
        given = self._given.get(key)
        if given:
            return given.entry.label
        missing = "" if os.path.lexists(self.path) else " (there is no such file)"
        return f"{shown(self.path)}{missing}: {key}"

    def add(self, key: str, words: str) -> None:
        """Record a mistake of `key`."""
        self.mistakes.add(self.label(key), words)


def read_value(definition: Definition | ClientDefinition, entry: Entry, mistakes: Mistakes) -> Any:  # noqa: ANN401 - as above
    """Return the value of `entry`; None, and a mistake recorded, if it is none."""
    if entry.text is None:
        return None
    try:
        refuse_control_characters(entry.text)
        value = definition.kind.read(entry.text)
    except BadValueError as error:
        mistakes.add(entry.label, str(error))
        return None
    return value
