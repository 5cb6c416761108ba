# SPDX-License-Identifier: MIT
"""What of the configuration depends on this host: interfaces, users, keys, folders, installed plugins."""

from __future__ import annotations

import grp
import os
import pwd
import socket
from typing import TYPE_CHECKING

from spale_core import bindings
from spale_core.config.files import refuse_untrusted
from spale_core.config.mistakes import BadValueError, quoted, shown
from spale_core.config.settings import own_path

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from spale_core.config.draft import Draft
    from spale_core.config.server_keys import Look

DEFAULT_USER = "spale"
_MAX_SOCKET_PATH = 107
_NO_DATAPLANES = ("hpke", "hpke-v1", "memory", "sqlite")


def judge_interfaces(draft: Draft) -> None:
    """Record the interfaces that this host (network namespace) does not have, and those named twice.

    With WAIT_INTERFACE those may come later.
    """
    names: dict[int, str] = {}
    for name in draft.value("IFACE") or ():
        try:
            index = socket.if_nametoindex(name)
        except OSError:
            if draft.value("WAIT_INTERFACE"):
                continue
            there = ", ".join(quoted(each) for _, each in socket.if_nameindex())
            draft.add("IFACE", f"{quoted(name)} is no interface of this host; there are {there}")
            continue
        other = names.setdefault(index, name)
        if other != name:
            draft.add("IFACE", f"{quoted(other)} and {quoted(name)} are one interface; name it once")


def absent_interfaces(names: Iterable[str]) -> list[str]:
    """Return those of `names` that no interface of this host (network namespace) has."""
    absent = []
    for name in names:
        try:
            socket.if_nametoindex(name)
        except OSError:
            absent.append(name)
    return absent


def judge_server_keys(draft: Draft, look: Look) -> set[bytes]:
    """Return the public halves of the server's keys, by ``look(path)``; record those that cannot be used."""
    found: set[bytes] = set()
    for path in draft.value("SERVER_KEY") or ():
        try:
            public = look(path)
        except BadValueError as error:
            draft.add("SERVER_KEY", str(error))
            continue
        if public in found:
            draft.add("SERVER_KEY", f"{shown(path)} holds a key that is there already; name each key once")
        found.add(public)
    return found


def judge_folders(draft: Draft) -> None:
    """Record a folder of state or pins that somebody else may write, or could put there before us."""
    for key in ("STATE_DIR", "PIN_DIR"):
        path = draft.value(key)
        if path is None:
            continue
        try:
            refuse_untrusted(path)
        except BadValueError as error:
            draft.add(key, str(error))


def judge_socket(draft: Draft) -> None:
    """Record a SOCKET that cannot be one, or that somebody else could put there, and a group that is none."""
    path, group = draft.value("SOCKET"), draft.value("SOCKET_GROUP")
    if path is not None:
        try:
            refuse_untrusted(path.parent)
            _refuse_no_socket(path, draft.value("NAME"))
        except BadValueError as error:
            draft.add("SOCKET", str(error))
    if group is not None:
        try:
            grp.getgrnam(group)
        except KeyError:
            words = f"{quoted(group)} is no group of this host; `groupadd --system {group}` makes it one"
            draft.add("SOCKET_GROUP", words)


def _refuse_no_socket(path: Path, name: str | None) -> None:
    own = own_path(path, name)
    length = len(os.fsencode(own))
    if length > _MAX_SOCKET_PATH:
        raise BadValueError(
            f"{shown(own)} has {length} bytes, too many for a socket; write at most {_MAX_SOCKET_PATH}"
        )
    if os.path.lexists(own) and not own.is_socket():
        raise BadValueError(f"{shown(own)} is there and is no socket; name another path")


def judge_user(draft: Draft) -> None:
    """Record a user or group of DROP_PRIVS that does not exist, is root, or that we may not become."""
    text = draft.value("DROP_PRIVS")
    if text is None:
        return
    if os.geteuid() != 0:
        draft.add(
            "DROP_PRIVS", "only root can become another user; leave it out, the listener keeps this uid"
        )
        return
    user, _, group = text.partition(":")
    try:
        if pwd.getpwnam(user).pw_uid == 0:
            draft.add("DROP_PRIVS", f"{quoted(user)} is root; name a user of its own, as {DEFAULT_USER}")
    except KeyError:
        draft.add(
            "DROP_PRIVS", f"{quoted(user)} is no user of this host; `useradd --system {user}` makes it one"
        )
    try:
        if group and grp.getgrnam(group).gr_gid == 0:
            draft.add("DROP_PRIVS", f"the group {quoted(group)} is root's; name another")
    except KeyError:
        draft.add(
            "DROP_PRIVS",
            f"{quoted(group)} is no group of this host; `groupadd --system {group}` makes it one",
        )


def judge_loader(draft: Draft) -> None:
    """Record that LOADER asks for a compiler that is not installed."""
    if draft.value("LOADER") == "bcc" and bindings.find() is None:
        draft.add("LOADER", bindings.ABSENT)


def judge_plugins(draft: Draft, available: Collection[str]) -> str:
    """Return the dataplane; record the names that no installed plugin has."""
    dataplane = (
        draft.value("DATAPLANE") if draft.is_given("DATAPLANE") else _default_dataplane(draft, available)
    )
    named = [("DATAPLANE", dataplane), ("STORE", draft.value("STORE"))]
    named += [("AUTH", scheme) for scheme in draft.value("AUTH") or ()]
    there = ", ".join(sorted(available)) or "none"
    for key, name in named:
        if name is not None and name not in available:
            words = f"no plugin {quoted(name)} is installed; install what provides it (there are: {there})"
            draft.add(key, words)
    return dataplane or "tc"


def _default_dataplane(draft: Draft, available: Collection[str]) -> str:
    """Return tc, or the only dataplane installed: what is neither a scheme nor a store that is named."""
    others = {*(draft.value("AUTH") or ()), draft.value("STORE"), *_NO_DATAPLANES}
    candidates = [name for name in available if name not in others]
    return candidates[0] if len(candidates) == 1 else "tc"
