# SPDX-License-Identifier: MIT
"""What was written where: options, environment and file become entries, none of them understood yet."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import frozen

from spale_core.config.keys import by_key, by_option
from spale_core.config.mistakes import BadValueError, quoted, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from spale_core.config.mistakes import Mistakes

PREFIX = "SPALE_"
"""Before a key in the environment."""

_FOR_TESTS = ("SPALE_REQUIRE_", "SPALE_TEST_")
_KEY = re.compile(r"[A-Za-z0-9_]+")
_BLANKS = " \t"

OPTION, PREFIXED, BARE, FILE = range(4)
"""The layers; of two that give a value to one key the first wins."""


@frozen
class Entry:
    """One value as it was written; `label` says where, for messages.

    `text` is None where it could not be read, which is a mistake recorded already.
    """

    layer: int
    key: str
    text: str | None
    label: str

    @property
    def name(self) -> str:
        """Return what was written for the key: the option, the variable, or the key itself."""
        return self.label.rpartition(": ")[2]


def option_entries(options: Mapping[str, str]) -> Iterator[Entry]:
    """Return what the command line says; `options` has text by key."""
    for key, text in options.items():
        definition = by_option().get(key)
        label = definition.options[-1] if definition and definition.options else f"--{key.lower()}"
        yield Entry(OPTION, key, text, label)


def environment_entries(environ: Mapping[str, str]) -> Iterator[Entry]:
    """Return what the environment says: every SPALE_ name, and the bare names that are keys.

    Any other bare name belongs to somebody else and is left alone, and so is what only our tests know.
    """
    for name, text in environ.items():
        if name.startswith(PREFIX) and not name.startswith(_FOR_TESTS):
            yield Entry(PREFIXED, name.removeprefix(PREFIX), text, f"environment: {_shown_key(name)}")
    for key in by_key():
        if key in environ:
            yield Entry(BARE, key, environ[key], f"environment: {key}")


def file_entries(path: Path, content: bytes, mistakes: Mistakes) -> Iterator[Entry]:
    """Return what the file says; record the lines that say nothing."""
    # Bytes that are no UTF-8 survive as surrogates: a comment may have them, and so may a path.
    text = content.decode("utf-8", "surrogateescape")
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip(_BLANKS + "\r")
        if not stripped or stripped.startswith("#"):
            continue
        place = f"{shown(path)}:{number}"
        key, equals, rest = stripped.partition("=")
        key = key.strip(_BLANKS)
        if not equals or not _KEY.fullmatch(key):
            mistakes.add(
                f"{place}: {_shown_key(key)}", "is no setting; write KEY=VALUE, or # before a comment"
            )
            continue
        label = f"{place}: {key}"
        try:
            value = unquote(rest)
        except BadValueError as error:
            mistakes.add(label, str(error))
            value = None
        yield Entry(FILE, key, value, label)


def _shown_key(key: str) -> str:
    return key if _KEY.fullmatch(key) else quoted(key)


def unquote(rest: str) -> str:
    """Return the value in what stands behind the equals sign: without quotes and without comment."""
    value = rest.strip(_BLANKS)
    if value[:1] in {'"', "'"}:
        return _quoted_value(value)
    for index, character in enumerate(value):
        if character == "#" and (index == 0 or value[index - 1] in _BLANKS):
            return value[:index].rstrip(_BLANKS)
        if character in {'"', "'"}:
            raise BadValueError("has a quote in the middle; quote the whole value or nothing")
    return value


def _quoted_value(value: str) -> str:
    """Return what stands in the quotes; in double ones a backslash takes the next character as it is."""
    quote, found, index = value[0], [], 1
    while index < len(value) and value[index] != quote:
        if value[index] == "\\" and quote == '"':
            index += 1
        found.append(value[index : index + 1])
        index += 1
    if index >= len(value):
        raise BadValueError(f"opens a quote that never closes; end the value with {quote}")
    behind = value[index + 1 :]
    if behind and not (behind[0] in _BLANKS and behind.lstrip(_BLANKS)[:1] in {"", "#"}):
        raise BadValueError(
            "goes on after its closing quote; quote the whole value, and put a blank before a comment"
        )
    return "".join(found)


def quote(value: str) -> str:
    """Return `value` so that `unquote` reads it as it is."""
    if value == value.strip() and not any(character in value for character in "\"'#\\"):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
