# SPDX-License-Identifier: MIT
"""What each client may have: the keys of the file that begin with its NAME, else the global ones."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from spale_core.config.clients import prefix_of
from spale_core.config.draft import Given, read_value
from spale_core.config.keys import CLIENT_DEFINITIONS, by_key
from spale_core.config.mistakes import quoted
from spale_core.config.ports import format_services
from spale_core.config.reader import FILE
from spale_core.config.settings import ClientSettings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from spale_core.config.clients import Found
    from spale_core.config.definitions import ClientDefinition
    from spale_core.config.draft import Draft
    from spale_core.config.reader import Entry

MAX_SERVICES = 256
"""The most services that one client may have: a knock writes that many grants at once, or none."""

_SUFFIXES = {each.suffix: each for each in CLIENT_DEFINITIONS}
_MAX_COMPARED = 1000  # comparing words is slow, and a typing error needs no more


class ClientKeys:
    """The keys of the file that begin with a NAME."""

    def __init__(self, draft: Draft, found: Collection[Found] | None) -> None:
        """Begin with none; without `found` (the folder cannot be read) any NAME may be a client's."""
        self._draft = draft
        self._names = None if found is None else {prefix_of(each.name) for each in found}
        self._given: dict[tuple[str, str], Given] = {}
        self._bad: set[tuple[str, str]] = set()

    def take(self, entries: Iterable[Entry]) -> None:
        """Read the entries that the global keys left over; record the unknown ones."""
        seen: dict[str, Entry] = {}
        for entry in entries:
            split = self._split(entry.key)
            if split is None:
                self._draft.mistakes.add(entry.label, self._unknown(entry.key))
            elif entry.layer != FILE:
                self._draft.mistakes.add(entry.label, "is a client's key; it is read from the file only")
            elif seen.setdefault(entry.key, entry) is not entry:
                self._draft.mistakes.add(
                    entry.label, f"is set twice, first at {seen[entry.key].label}; keep one"
                )
            else:
                self._read(split, entry)

    def _split(self, key: str) -> tuple[str, str] | None:
        for suffix in _SUFFIXES:
            name = key.removesuffix(f"_{suffix}")
            if name != key and (self._names is None or name in self._names):
                return name, suffix
        return None

    def _read(self, split: tuple[str, str], entry: Entry) -> None:
        value = read_value(_SUFFIXES[split[1]], entry, self._draft.mistakes)
        if value is None:
            self._bad.add(split)
        else:
            self._given[split] = Given(value, entry)

    def _unknown(self, key: str) -> str:
        nearest = get_close_matches(key.upper(), [*by_key(), *self._near(key.upper())], 1)
        if nearest:
            return f"is no key; did you mean {nearest[0]}?"
        return "is no key; spale.conf.example lists them all"

    def _near(self, key: str) -> Iterator[str]:
        """Return the clients' keys that `key` may have been meant to be."""
        names = sorted(self._names or ())
        for name in names:
            if key.startswith(f"{name}_"):
                yield from (f"{name}_{suffix}" for suffix in _SUFFIXES)
        for suffix in _SUFFIXES:
            if key.endswith(f"_{suffix}"):
                stem = key.removesuffix(f"_{suffix}")
                yield from (f"{name}_{suffix}" for name in get_close_matches(stem, names[:_MAX_COMPARED], 1))

    def value(self, name: str, definition: ClientDefinition) -> Any:  # noqa: ANN401 - each key has its own type
        """Return what holds for the client `name`; None after a mistake."""
        split = (prefix_of(name), definition.suffix)
        if split in self._given:
            return self._given[split].value
        if split in self._bad:
            return None
        return (
            definition.default if definition.falls_back is None else self._draft.value(definition.falls_back)
        )

    def label(self, name: str, suffix: str) -> str | None:
        """Return where the client's key was written, None if it was not."""
        given = self._given.get((prefix_of(name), suffix))
        return given.entry.label if given else None


def client_settings(draft: Draft, keys: ClientKeys, found: Iterable[Found]) -> tuple[ClientSettings, ...]:
    """Return the settings of every client; record what cannot be. After a mistake values may be missing."""
    clients = tuple(
        ClientSettings(
            name=each.name,
            public_key=each.public_key,
            **{definition.field: keys.value(each.name, definition) for definition in CLIENT_DEFINITIONS},
        )
        for each in found
        if each.public_key is not None
    )
    for client in clients:
        _judge_services(draft, keys, client)
        _judge_scheme(draft, keys, client)
    return clients


def _judge_services(draft: Draft, keys: ClientKeys, client: ClientSettings) -> None:
    protected = draft.value("PROTECTED_PORTS")
    if protected is None or client.services is None:
        return
    own = f"{prefix_of(client.name)}_PORTS"
    label = keys.label(client.name, "PORTS")
    outside = client.services - protected
    if label and outside:
        draft.mistakes.add(
            label, f"{format_services(outside)} is not protected; add it to PROTECTED_PORTS or drop it here"
        )
    limit, limited_by = min(
        (MAX_SERVICES, "a client may have"),
        (draft.value("MAX_GRANTS") or MAX_SERVICES, "MAX_GRANTS has room for"),
    )
    if len(client.services) > limit:
        words = (
            f"{len(client.services)} services for client {client.name}, where {limited_by} {limit} at most"
        )
        draft.mistakes.add(label or draft.label("PROTECTED_PORTS"), f"{words}; name fewer in {own}")


def _judge_scheme(draft: Draft, keys: ClientKeys, client: ClientSettings) -> None:
    schemes = draft.value("AUTH")
    if schemes is None or client.auth is None or client.auth in schemes:
        return
    own = f"{prefix_of(client.name)}_AUTH"
    label = keys.label(client.name, "AUTH")
    words = f"client {client.name} uses {quoted(client.auth)}, which AUTH does not list"
    draft.mistakes.add(
        label or draft.label("AUTH"), f"{words}; add it to AUTH, or set {own} to one of {', '.join(schemes)}"
    )
