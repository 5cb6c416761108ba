# SPDX-License-Identifier: MIT
"""The key file that a client knocks with."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from spale_core.config.mistakes import shown
from spale_core.errors import DataError, MissingInputError, PermissionDeniedError
from spale_core.schemes import find_scheme

if TYPE_CHECKING:
    from collections.abc import Callable

    from spale_core.interfaces import Requester

_LARGEST = 65536
_PRIVATE, _PUBLIC = b"PRIVATE KEY-----", b"BEGIN PUBLIC KEY-----"
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_HOW = "a client's key file has the server's public key and the client's private key"


def read_key(path: str, say: Callable[[str], None]) -> bytes:
    """Return the content of the key file; warn if it holds a private key and others may read it.

    Raise MissingInputError, PermissionDeniedError or DataError.
    """
    content, others = content_of(path)
    if others and _PRIVATE in content:
        say(f"warning: {shown(path)} is open to others (mode {others:04o}); chmod 600 {shown(path)}")
    return content


def content_of(path: str) -> tuple[bytes, int]:
    """Return the content of a key file, and its mode if others may do anything with it, else 0.

    On Windows the mode does not tell. Raise MissingInputError, PermissionDeniedError or DataError.
    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib costs every knock time
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(_LARGEST + 1)
    except FileNotFoundError:
        raise MissingInputError(
            f"{shown(path)}: there is no such key file; make one with spale-keygen"
        ) from None
    except PermissionError:
        raise PermissionDeniedError(f"{shown(path)}: you may not read this key file") from None
    except OSError as error:
        raise DataError(f"{shown(path)}: {error.strerror}") from None
    if len(content) > _LARGEST:
        raise DataError(f"{shown(path)} is too large for a key file")
    return content, mode if os.name == "posix" and mode & _OTHERS else 0


def requester(scheme: str, path: str, content: bytes) -> Requester:
    """Return what makes datagrams of `scheme` with a key file; raise DataError for what is no such file."""
    try:
        return find_scheme(scheme).make_requester(content)
    except DataError as error:
        raise DataError(f"{shown(path)}: {error}; {_remedy(path, content)}") from None


def _remedy(path: str, content: bytes) -> str:
    """Return what a key file needs that nobody can knock with."""
    if _PRIVATE in content and _PUBLIC not in content:
        return f"{_HOW}: cat server.key.pub {shown(path)} >NEWFILE, and chmod 600 NEWFILE"
    return _HOW
