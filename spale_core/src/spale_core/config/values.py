# SPDX-License-Identifier: MIT
"""The kinds of value that a key can have: how each is read and how it is written back.

A reader returns the value or raises BadValueError; none touches files, names or the host.
"""

from __future__ import annotations

import enum
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import frozen

from spale_core.config.mistakes import BadValueError, quoted
from spale_core.config.ports import format_services, parse_services

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

NEVER = -1
"""A window that never ends."""

MAX_WINDOW_S = 2**31 - 1
"""The longest window that has an end, in seconds (68 years): added to any uptime it fits the kernel's u64."""

_NUMBER = re.compile(r"-?[0-9]{1,18}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

EnumT = TypeVar("EnumT", bound=enum.Enum)


@frozen
class Kind:
    """How a value is read from text and written back; what `write` returns `read` reads as the same."""

    read: Callable[[str], Any]
    write: Callable[[Any], str] = str


def is_name(text: str) -> bool:
    """Tell whether `text` can be the name of a client, a plugin or a daemon."""
    return _NAME.fullmatch(text) is not None


def refuse_control_characters(text: str) -> None:
    """Raise BadValueError if `text` holds a control character (a tab may be), or what no bytes stand for."""
    if _CONTROL.search(text):
        raise BadValueError(f"{quoted(text)} holds a control character; remove it")
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise BadValueError(
            f"{quoted(text)} holds a character that no file name can have; remove it"
        ) from None


def number(low: int, high: int, *, never: bool = False) -> Kind:
    """Return the kind of the whole numbers from `low` to `high`, and of -1 where a window may never end."""
    right = f"write a whole number from {low} to {high}" + (", or -1 for never" if never else "")

    def read(text: str) -> int:
        if not _NUMBER.fullmatch(text):
            raise BadValueError(f"{quoted(text)} is no whole number; {right}")
        value = int(text)
        if not (low <= value <= high or (never and value == NEVER)):
            raise BadValueError(f"{text} is out of range; {right}")
        return value

    return Kind(read)


def _read_flag(text: str) -> bool:
    if text not in {"0", "1"}:
        raise BadValueError(f"{quoted(text)} is neither yes nor no; write 1 or 0")
    return text == "1"


FLAG = Kind(_read_flag, lambda value: str(int(value)))


def word(*words: str, also: dict[str, str] | None = None) -> Kind:
    """Return the kind of these words; `also` maps further spellings to them."""
    spellings = {each: each for each in words} | (also or {})

    def read(text: str) -> str:
        value = spellings.get(text.lower())
        if value is None:
            raise BadValueError(f"{quoted(text)} is not known; write {_or(words)}")
        return value

    return Kind(read)


def member(of: type[EnumT]) -> Kind:
    """Return the kind of the members of an enum whose values are words."""
    plain = word(*(each.value for each in of))
    return Kind(lambda text: of(plain.read(text)), lambda value: value.value)


def _or(words: Iterable[str]) -> str:
    *rest, last = words
    return f"{', '.join(rest)} or {last}" if rest else last


def items(text: str) -> list[str]:
    """Return the items of a list separated by commas; raise BadValueError if one is empty or repeated."""
    found = [item.strip() for item in text.split(",")]
    if "" in found:
        raise BadValueError(f"{quoted(text)} has an empty item; separate items by single commas")
    refuse_repeated(found)
    return found


def refuse_repeated(found: Iterable[object]) -> None:
    """Raise BadValueError if `found` holds something twice."""
    seen = set()
    for item in found:
        if item in seen:
            raise BadValueError(f"{quoted(item)} is listed twice; name it once")
        seen.add(item)


def _read_plugin(text: str) -> str:
    if not is_name(text):
        raise BadValueError(f"{quoted(text)} cannot be a name; write a name that `spale plugins` lists")
    return text


def _read_name(text: str) -> str:
    if not is_name(text):
        raise BadValueError(
            f"{quoted(text)} cannot be a name; write at most 64 letters, digits, dots, dashes or underscores,"
            " beginning with a letter or digit"
        )
    return text


NAME = Kind(_read_name)
PLUGIN = Kind(_read_plugin)
PLUGINS = Kind(
    lambda text: tuple(_read_plugin(item) for item in items(text)),
    ",".join,
)

_INTERFACE = re.compile(r"[^\s/%,]{1,15}")


def _read_interfaces(text: str) -> tuple[str, ...]:
    found = items(text)
    for item in found:
        if not _INTERFACE.fullmatch(item) or not item.isprintable() or item in {".", ".."}:
            raise BadValueError(f"{quoted(item)} cannot be an interface; write a name that `ip link` lists")
    return tuple(found)


INTERFACES = Kind(_read_interfaces, ",".join)
SERVICES = Kind(parse_services, format_services)


def _read_path(text: str) -> Path:
    if not text:
        raise BadValueError("is empty; write a path")
    try:
        path = Path(text).absolute()
    except OSError:
        raise BadValueError(
            f"{quoted(text)} is relative to a folder that is gone; write a path from /"
        ) from None
    if str(path) != str(path).strip():
        raise BadValueError(f"{quoted(text)} ends in a blank; rename it")
    return path


PATH = Kind(_read_path)
PATHS = Kind(
    lambda text: tuple(_read_path(item) for item in items(text)),
    lambda paths: ",".join(map(str, paths)),
)

_USER = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}\$?"
_USER_AND_GROUP = re.compile(rf"{_USER}(?::{_USER})?")


def _read_user(text: str) -> str:
    if not _USER_AND_GROUP.fullmatch(text):
        raise BadValueError(f"{quoted(text)} names no user; write USER or USER:GROUP")
    return text


USER = Kind(_read_user)


def _read_group(text: str) -> str:
    if not re.fullmatch(_USER, text):
        raise BadValueError(f"{quoted(text)} names no group; write a name that `getent group` lists")
    return text


GROUP = Kind(_read_group)
