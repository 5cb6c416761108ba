# SPDX-License-Identifier: MIT
"""``spale-keygen show``: what is in a key file, and whose it is."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Final

from attrs import asdict, frozen

from spale_core.cli import qr
from spale_core.config.mistakes import BadValueError, shown
from spale_core.config.pem import client_public_key
from spale_core.errors import DataError, UsageError
from spale_core.fingerprint import fingerprint
from spale_core.keyfile import KeyKind, read_key_file
from spale_core.sending.keys import content_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from pathlib import Path

    from spale_core.keyfile import KeyFile

SERVER_PUBLIC: Final = "server.key.pub"
CLIENTS: Final = "clients"
KEY_SUFFIX: Final = ".pem"

_SERVER = "server"


@frozen
class Shown:
    """What is printed of a key file.

    `fingerprint` is that of the pair's public key, as log and `spale list clients` have it; of a bundle the
    client's, and `server_fingerprint` the other. `installed_as` is ``server`` or ``client NAME`` if the key
    is installed here so, `open_to_others` tells that others may read something private.
    """

    file: str
    kind: KeyKind
    fingerprint: str
    server_fingerprint: str | None
    installed_as: str | None
    open_to_others: bool


def show(options: argparse.Namespace) -> None:
    """Print what is in a file. Raise SpaleError, which says what is wrong with it."""
    content, others = content_of(str(options.file))
    try:
        found = read_key_file(content)
    except DataError as error:
        raise DataError(f"{shown(options.file)} {error}") from None
    told = _told(options, found, is_open=bool(others))
    if options.json:
        sys.stdout.write(json.dumps(asdict(told), indent=2) + "\n")
        return
    if options.qr and found.kind is not KeyKind.BUNDLE:
        raise UsageError(f"--qr is for a client's bundle; {shown(options.file)} is a {found.kind} key alone")
    picture = qr.draw(content) if options.qr else None
    sys.stdout.write("".join(f"{line}\n" for line in _lines(told)))
    if picture is not None:
        qr.show(picture)


def _told(options: argparse.Namespace, found: KeyFile, *, is_open: bool) -> Shown:
    return Shown(
        file=str(options.file),
        kind=found.kind,
        fingerprint=fingerprint(found.public_key),
        server_fingerprint=None if found.server_key is None else fingerprint(found.server_key),
        installed_as=_installed_as(found.public_key, options.config_root),
        open_to_others=is_open and found.kind is not KeyKind.PUBLIC,
    )


def _installed_as(public_key: bytes, root: Path) -> str | None:
    """Return whose key it is here; None if nobody's, or if we may not look."""
    for path, holder in _installed(root):
        try:
            if client_public_key(path.read_bytes()) == public_key:
                return holder
        except (OSError, BadValueError):
            continue
    return None


def _installed(root: Path) -> Iterator[tuple[Path, str]]:
    yield root / SERVER_PUBLIC, _SERVER
    # glob() of a folder that is not there, or not for us, is empty.
    for path in sorted((root / CLIENTS).glob(f"*{KEY_SUFFIX}")):
        yield path, f"client {path.name.removesuffix(KEY_SUFFIX)}"


def _lines(told: Shown) -> Iterator[str]:
    """Return the lines for people."""
    name = shown(told.file)
    installed = "" if told.installed_as is None else f", installed here as {shown_holder(told.installed_as)}"
    if told.kind is KeyKind.PUBLIC:
        yield f"{name}: public key{installed}"
        yield f"  {told.fingerprint}"
    elif told.kind is KeyKind.PRIVATE:
        whose = installed or " of a server, or of a client without the server's public key"
        yield f"{name}: private key{whose}"
        yield f"  {told.fingerprint}"
    else:
        yield f"{name}: bundle, all that a client needs{installed}"
        yield f"  client {told.fingerprint}"
        yield f"  server {told.server_fingerprint}"
    if told.open_to_others:
        yield f"  others may read this private key: chmod 600 {name}, or better make a new one"


def shown_holder(holder: str) -> str:
    """Return ``server`` or ``client NAME`` so that no file name can forge a line."""
    kind, _, name = holder.partition(" ")
    return f"{kind} {shown(name)}" if name else kind
