# SPDX-License-Identifier: MIT
"""Read profiles: a folder for each, with `config` (KEY=VALUE lines) and `key`, as the original has them."""

from __future__ import annotations

import argparse
import os
import re
import stat
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from spale_core.config.mistakes import shown
from spale_core.errors import ConfigError, MissingInputError, PermissionDeniedError, UsageError
from spale_core.sending.fields import FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

CONFIG: Final = "config"
KEY: Final = "key"

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?")
_DEVICE = re.compile(r"(?i:CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])(?:\..*)?")
_LARGEST = 65536
_WRITERS = stat.S_IWGRP | stat.S_IWOTH
_BY_KEY = {field.key: field for field in FIELDS}


@frozen
class Profile:
    """What one profile says; `texts` as it stands there, by key."""

    name: str
    folder: str
    texts: Mapping[str, str]

    @property
    def key_path(self) -> str:
        """Return the path of its key file."""
        return os.path.join(self.folder, KEY)  # noqa: PTH118 - pathlib costs every knock time

    def values(self) -> dict[str, Any]:
        """Return what each key says, by the attribute of its option."""
        return {_BY_KEY[key].attribute: _BY_KEY[key].read(text) for key, text in self.texts.items()}


def check_name(name: str) -> str:
    """Return `name` if a profile can have it on every system; raise UsageError."""
    if _DEVICE.fullmatch(name):
        raise UsageError(
            f"{shown(name)} cannot be a profile's name: on Windows it is that of a device; take another"
        )
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{shown(name)} cannot be a profile's name; up to 64 letters, digits, dots, underscores and "
            "dashes can, the first a letter or digit, the last no dot"
        )
    return name


def names(root: str) -> list[str]:
    """Return the names of the profiles in `root`, sorted; none if it is not there."""
    try:
        found = os.listdir(root)  # noqa: PTH208 - pathlib costs every knock time
    except OSError:
        return []
    return sorted(name for name in found if _NAME.fullmatch(name) and os.path.isdir(_join(root, name)))  # noqa: PTH112 - no pathlib


def read(root: str, name: str) -> Profile:
    """Return the profile `name`; raise UsageError, MissingInputError, naming the nearest, or ConfigError."""
    folder = _join(root, check_name(name))
    path = _join(folder, CONFIG)
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123 - pathlib costs time
            content = file.read(_LARGEST)
    except (FileNotFoundError, NotADirectoryError):
        raise MissingInputError(_no_such(root, name)) from None
    except PermissionError:
        raise PermissionDeniedError(f"{shown(path)}: you may not read it") from None
    except OSError as error:
        raise ConfigError(f"{shown(path)}: {error.strerror}") from None
    return Profile(name, folder, _parse(path, content))


def open_to_others(profile: Profile) -> list[str]:
    """Return the paths of a profile that others may write to, and so send its knocks elsewhere; on POSIX."""
    paths = [profile.folder, _join(profile.folder, CONFIG)] if os.name == "posix" else []
    return [path for path in paths if os.stat(path).st_mode & _WRITERS]  # noqa: PTH116 - pathlib costs time


def write(texts: Mapping[str, str]) -> bytes:
    """Return the content of a `config`: sorted, as the original writes it."""
    return "".join(f"{key}={texts[key]}\n" for key in sorted(texts)).encode()


def _join(*parts: str) -> str:
    return os.path.join(*parts)  # noqa: PTH118 - pathlib costs every knock time


def _no_such(root: str, name: str) -> str:
    words = f"no profile {name!r} in {shown(root)}"
    if os.path.isdir(_join(root, name)):  # noqa: PTH112 - pathlib costs every knock time
        return f"{shown(_join(root, name))} has no file {CONFIG!r}, so it is no profile; move it away"
    from difflib import get_close_matches  # noqa: PLC0415 - only for a mistake

    known = {each.casefold(): each for each in names(root)}
    nearest = get_close_matches(name.casefold(), known, 1)
    return (
        f"{words}; did you mean {known[nearest[0]]}?"
        if nearest
        else f"{words}; spale-send profile list shows all"
    )


def _parse(path: str, content: str) -> dict[str, str]:
    """Return the texts by key; raise ConfigError with a line for each mistake."""
    texts: dict[str, str] = {}
    mistakes = []
    for number, key, text in _lines(content):
        words = _mistake(key, text, texts)
        if words:
            mistakes.append(f"{shown(path)}:{number}: {words}")
        elif text:
            texts[key] = text
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return texts


def _lines(content: str) -> Iterator[tuple[int, str, str]]:
    """Yield number, key and value of each line that is not empty and no comment."""
    for number, line in enumerate(content.splitlines(), start=1):
        bare = line.strip()
        if bare and not bare.startswith("#"):
            key, _, text = bare.partition("=")
            text = text.strip()
            quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
            yield number, key.strip(), text[1:-1] if quoted else re.sub(r"\s#.*", "", text).rstrip()


def _mistake(key: str, text: str, before: Iterable[str]) -> str:
    """Return what is wrong with a line, "" if nothing is; an empty value says nothing."""
    field = _BY_KEY.get(key)
    if field is None:
        return f"{shown(key)}: no such key; there are {', '.join(sorted(_BY_KEY))}"
    if key in before:
        return f"{key}: is there twice; remove one"
    try:
        if text:
            field.read(text)
    except argparse.ArgumentTypeError as error:
        return f"{key}: {error}"
    return ""
