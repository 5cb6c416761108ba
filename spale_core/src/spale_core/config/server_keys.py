# SPDX-License-Identifier: MIT
"""Look at the server's private keys, and keep the public halves (docs/adr/0101)."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from spale_core import forks
from spale_core.config.files import read_trusted
from spale_core.config.mistakes import BadValueError, shown
from spale_core.config.pem import server_public_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Look = Callable[[Path], bytes]
    """Returns the public half (32 bytes) of the key in a file; raises BadValueError, a whole sentence."""

_GOOD, _BAD = b"+", b"-"
_PIECE: Final = 2**16


def look(path: Path) -> bytes:
    """Return the public half (32 bytes) of a private key that nobody else may read; raise BadValueError."""
    pem = read_trusted(path, secret=True)
    try:
        return server_public_key(pem)
    except BadValueError as error:
        raise BadValueError(f"{shown(path)} {error}") from None


def look_apart(path: Path) -> bytes:
    """Do the same in a process that ends with it: nothing of the private key stays in the memory of this one.

    For a process that has no threads. Raise UnavailableError if the kernel gives no other one.
    """
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as pipe:
        try:
            pid = forks.fork()
            if pid == 0:
                with suppress(BaseException):
                    os.write(writer, _answer(path))
                os._exit(0)
        finally:
            os.close(writer)
        answer = pipe.read(_PIECE)
    os.waitpid(pid, 0)
    if answer.startswith(_GOOD):
        return answer.removeprefix(_GOOD)
    words = os.fsdecode(answer.removeprefix(_BAD))
    raise BadValueError(words or f"{shown(path)} cannot be looked at: the process that did it has ended")


def _answer(path: Path) -> bytes:
    try:
        return _GOOD + look(path)
    except BadValueError as error:
        return _BAD + os.fsencode(str(error))
