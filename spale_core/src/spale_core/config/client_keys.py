# SPDX-License-Identifier: MIT
"""What each client may have: the keys of the file that begin with its NAME, else the global ones."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from spale_core.config.draft import Given, read_value
from spale_core.config.keys import CLIENT_DEFINITIONS, by_key
from spale_core.config.mistakes import quoted
from spale_core.config.naming import prefix_of
from spale_core.config.ports import format_services
from spale_core.config.reader import FILE
from spale_core.config.settings import MAX_SERVICES, V1_SCHEME, ClientSettings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from spale_core.config.clients import Found
    from spale_core.config.draft import Draft
    from spale_core.config.reader import Entry

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
        self._owners: set[str] = set()

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
        self._owners.add(split[0])
        value = read_value(_SUFFIXES[split[1]], entry, self._draft.mistakes)
        if value is None:
            self._bad.add(split)
        else:
            self._given[split] = Given(value, entry)

    def _unknown(self, key: str) -> str:
        of_clients = list(self._near(key.upper()))
        nearest = get_close_matches(key.upper(), [*by_key(), *of_clients], 1)
        words = f"did you mean {nearest[0]}?" if nearest else "spale.conf.example lists them all"
        stem = next((key.removesuffix(f"_{each}") for each in _SUFFIXES if key.endswith(f"_{each}")), "")
        if stem and not of_clients:
            words += f" (CLIENTS_DIR has no client {quoted(stem)}: if it is gone, remove its lines too)"
        return f"is no key; {words}"

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

    def has_own(self, name: str) -> bool:
        """Tell whether any key of the file is for the client `name` alone."""
        return prefix_of(name) in self._owners

    def usual(self) -> dict[str, Any]:
        """Return what holds for a client without such keys, by field; None after a mistake."""
        return {
            each.field: each.default if each.falls_back is None else self._draft.value(each.falls_back)
            for each in CLIENT_DEFINITIONS
        }

    def own(self, name: str) -> dict[str, Any]:
        """Return what holds for the client `name` instead; None after a mistake."""
        values: dict[str, Any] = {}
        for each in CLIENT_DEFINITIONS:
            split = (prefix_of(name), each.suffix)
            if split in self._given:
                values[each.field] = self._given[split].value
            elif split in self._bad:
                values[each.field] = None
        return values

    def label(self, name: str, suffix: str) -> str | None:
        """Return where the client's key was written, None if it was not."""
        given = self._given.get((prefix_of(name), suffix))
        return given.entry.label if given else None


def client_settings(draft: Draft, keys: ClientKeys, found: Iterable[Found]) -> tuple[ClientSettings, ...]:
    """Return the settings of every client; record what cannot be. After a mistake values may be missing."""
    usual = keys.usual()
    clients = tuple(
        ClientSettings(
            name=each.name,
            public_key=each.public_key,
            **(usual | keys.own(each.name) if keys.has_own(each.name) else usual),
        )
        for each in found
        if each.public_key is not None
    )
    is_good = _is_good(draft, usual)
    for client in clients:
        # Of ten thousand clients most have no keys of their own: what is good for one of these is for all.
        if not is_good or keys.has_own(client.name):
            _judge_services(draft, keys, client)
            _judge_scheme(draft, keys, client)
            _judge_binding(draft, keys, client)
    return clients


def _is_good(draft: Draft, usual: Mapping[str, Any]) -> bool:
    """Tell whether nobody who has the `usual` values needs a word about them."""
    services, schemes = usual["services"], draft.value("AUTH")
    if services is None or schemes is None:
        return False
    return usual["auth"] in schemes and len(services) <= _limit(draft)[0]


def _limit(draft: Draft) -> tuple[int, str]:
    """Return how many services a client may have, and words for why."""
    return min(
        (MAX_SERVICES, "a client may have"),
        (draft.value("MAX_GRANTS") or MAX_SERVICES, "MAX_GRANTS has room for"),
    )


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
    limit, limited_by = _limit(draft)
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


def _judge_binding(draft: Draft, keys: ClientKeys, client: ClientSettings) -> None:
    """Record that a client whose datagrams cannot name their source could never get in."""
    label = keys.label(client.name, "AUTH")
    if label is None or not client.is_v1 or not draft.value("REQUIRE_SOURCE_BINDING"):
        return
    draft.mistakes.add(
        label,
        f"client {client.name} uses {V1_SCHEME}, which cannot name its source, so REQUIRE_SOURCE_BINDING=1 "
        "would refuse all its knocks; drop one of the two",
    )
