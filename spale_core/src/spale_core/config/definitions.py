# SPDX-License-Identifier: MIT
"""What is known about a key of the configuration; the keys themselves are in `keys`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from spale_core.config.values import Kind


@frozen
class Definition:
    """One key.

    `field` names the field of `Settings` (None: nothing reads it yet). `default` is written as in the file
    (None: required, or off), and so is `example`, where the default shows too little. `metavar` is empty for
    a switch. `repeatable` options are joined by commas. `off` is the spelling that says 0 where there is one.
    `option_only`: neither file nor environment know the key. `restart`: a reload cannot change it.
    """

    key: str
    kind: Kind
    help: str
    default: str | None = None
    field: str | None = None
    options: tuple[str, ...] = ()
    metavar: str = ""
    also: str | None = None
    required: bool = False
    repeatable: bool = False
    off: str | None = None
    option_only: bool = False
    restart: bool = False
    example: str | None = None


@frozen
class ClientDefinition:
    """One key that each client can have, written ``NAME_SUFFIX``; else `falls_back` or `default` holds."""

    suffix: str
    kind: Kind
    help: str
    field: str
    example: str
    falls_back: str | None = None
    default: Any = None
