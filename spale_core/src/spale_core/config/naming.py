# SPDX-License-Identifier: MIT
"""What a client's name is in the configuration: the NAME that its keys begin with."""

from __future__ import annotations

from spale_core.config.keys import CLIENT_DEFINITIONS, by_key

_NOT_IN_KEYS = str.maketrans("-.", "__")


def prefix_of(name: str) -> str:
    """Return the NAME that the keys of the client `name` (letters, digits, `-`, `.`, `_`) begin with."""
    return name.upper().translate(_NOT_IN_KEYS)


def global_keys() -> dict[str, list[str]]:
    """Return the global keys that would be a client's, by the NAME that they begin with."""
    found: dict[str, list[str]] = {}
    for definition in CLIENT_DEFINITIONS:
        for key in by_key():
            prefix = key.removesuffix(f"_{definition.suffix}")
            if prefix != key:
                found.setdefault(prefix, []).append(key)
    return found
