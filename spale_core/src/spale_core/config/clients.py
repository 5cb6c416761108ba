# SPDX-License-Identifier: MIT
"""The clients: a folder of public keys, one file each."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from attrs import frozen

from spale_core.config.files import read_in_folder, trusted_folder
from spale_core.config.mistakes import BadValueError, shown
from spale_core.config.naming import global_keys, prefix_of
from spale_core.config.pem import client_public_key
from spale_core.config.values import is_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from spale_core.config.draft import Draft

KEY_SUFFIX = ".pem"


@frozen
class Found:
    """A file in the clients' folder; without a key if that was a mistake."""

    name: str
    public_key: bytes | None


def find_clients(draft: Draft, server_keys: Collection[bytes]) -> list[Found] | None:
    """Return the clients in CLIENTS_DIR, sorted by name; None if the folder cannot be read."""
    folder = draft.value("CLIENTS_DIR")
    if folder is None:
        return None
    try:
        with trusted_folder(folder) as descriptor:
            entries = os.listdir(descriptor)  # noqa: PTH208 - pathlib knows no descriptors
            names = sorted(name for name in entries if name.endswith(KEY_SUFFIX))
            found = [each for name in names if (each := _read(draft, descriptor, name)) is not None]
    except BadValueError as error:
        draft.add("CLIENTS_DIR", str(error))
        return None
    _judge_names(draft, found)
    _judge_keys(draft, found, server_keys)
    return found


def _read(draft: Draft, descriptor: int, file_name: str) -> Found | None:
    folder = draft.value("CLIENTS_DIR")
    name = file_name.removesuffix(KEY_SUFFIX)
    if not is_name(name):
        right = "a letter or digit, then at most 63 letters, digits, dots, dashes and underscores"
        draft.add("CLIENTS_DIR", f"{shown(folder / file_name)} is named badly; a client's name is {right}")
        return None
    try:
        pem = read_in_folder(descriptor, folder, file_name)
    except BadValueError as error:
        draft.add("CLIENTS_DIR", str(error))
        return Found(name, None)
    try:
        return Found(name, client_public_key(pem))
    except BadValueError as error:
        draft.add("CLIENTS_DIR", f"{shown(folder / file_name)} {error}")
        return Found(name, None)


def _judge_names(draft: Draft, found: Iterable[Found]) -> None:
    taken: dict[str, str] = {}
    keys = global_keys()
    for client in found:
        prefix = prefix_of(client.name)
        other = taken.setdefault(prefix, client.name)
        if other != client.name:
            words = f"clients {other} and {client.name} both have the NAME {prefix}; rename one file"
            draft.add("CLIENTS_DIR", words)
        for key in keys.get(prefix, ()):
            words = f"client {client.name} would have the key {key}, which is a global one; rename the file"
            draft.add("CLIENTS_DIR", words)


def _judge_keys(draft: Draft, found: Iterable[Found], server_keys: Collection[bytes]) -> None:
    taken: dict[bytes, str] = {}
    for client in found:
        if client.public_key is None:
            continue
        other = taken.setdefault(client.public_key, client.name)
        if other != client.name:
            words = f"clients {other} and {client.name} have the same key; remove one file"
            draft.add("CLIENTS_DIR", words)
        if client.public_key in server_keys:
            words = f"client {client.name} has the server's own key; put the client's public key there"
            draft.add("CLIENTS_DIR", words)
