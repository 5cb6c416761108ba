# SPDX-License-Identifier: MIT
"""What a call may give along: each parameter by its name, of a kind that can be read. No I/O."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Any

from attrs import frozen

from spale_core.config import addresses
from spale_core.config.mistakes import BadValueError, quoted
from spale_core.config.ports import parse_services
from spale_core.config.values import MAX_WINDOW_S
from spale_core.model import Service, Source
from spale_core.policy import NEVER_S

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from spale_core.model import Network

_MAX_TEXT = 256
_MAX_ITEMS = 256


@frozen
class Parameter:
    """One parameter; `read` returns its value or raises BadValueError. One that is `optional` may be null."""

    name: str
    kind: str
    read: Callable[[object], Any]
    optional: bool = False


def read_all(wanted: Sequence[Parameter], given: Mapping[str, object]) -> dict[str, Any]:
    """Return the values of all that is `wanted`; raise BadValueError for what is wrong or unknown."""
    known = {each.name for each in wanted}
    for name in given:
        if name not in known:
            there = ", ".join(sorted(known)) or "none"
            raise BadValueError(f"{quoted(name[:_MAX_TEXT])} is no parameter; there are: {there}")
    return {each.name: _read(each, given.get(each.name)) for each in wanted}


def _read(parameter: Parameter, value: object) -> object:
    if value is None and parameter.optional:
        return None
    if value is None:
        raise BadValueError(f"{parameter.name} is missing: give a {parameter.kind}")
    try:
        return parameter.read(value)
    except BadValueError as error:
        raise BadValueError(f"{parameter.name}: {error}") from None


def read_text(value: object) -> str:
    """Return a text of at most 256 characters; raise BadValueError."""
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_TEXT:
        raise BadValueError(f"write a text of at most {_MAX_TEXT} characters")
    return value


def read_service(value: object) -> Service:
    """Return the one service of a text such as 22/tcp; raise BadValueError."""
    text = read_text(value)
    if "," in text or "-" in text or len(found := parse_services(text)) != 1:
        raise BadValueError(f"{quoted(text)} is not one service; write one such as 22/tcp")
    return next(iter(found))


def read_services(value: object) -> frozenset[Service]:
    """Return the services of a list of texts such as 22/tcp; raise BadValueError."""
    if not isinstance(value, list) or not 0 < len(value) <= _MAX_ITEMS:
        raise BadValueError(f"write a list of 1 to {_MAX_ITEMS} texts such as 22/tcp")
    return frozenset().union(*(parse_services(read_text(item)) for item in value))


def read_prefix(value: object) -> Network:
    """Return an address or a prefix that ALWAYS_ALLOW could have, too; raise BadValueError."""
    return addresses.read_prefix(read_text(value))


def window(least: int) -> Callable[[object], int]:
    """Return a reader of seconds, at least `least`, or -1 for what never ends."""

    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not _is_window(value, least):
            raise BadValueError(f"write seconds from {least} to {MAX_WINDOW_S}, or {NEVER_S} for never")
        return value

    return read


def _is_window(value: int, least: int) -> bool:
    return value == NEVER_S or least <= value <= MAX_WINDOW_S


def read_source(value: object) -> tuple[Source, str | None]:
    """Return an address and the name of its interface (``fe80::1%eth0``); raise BadValueError."""
    text = read_text(value)
    address, _, scope = text.partition("%")
    try:
        read = ip_address(address)
    except ValueError:
        raise BadValueError(
            f"{quoted(text)} is no address; write 192.0.2.7, 2001:db8::7 or fe80::7%eth0"
        ) from None
    if isinstance(read, IPv6Address) and read.ipv4_mapped:
        raise BadValueError(f"{quoted(text)} is IPv4 in the form of IPv6; write the IPv4 address")
    return Source(read), scope or None
