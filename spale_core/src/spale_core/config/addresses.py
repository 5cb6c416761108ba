# SPDX-License-Identifier: MIT
"""Addresses, prefixes and dates as they are written in a configuration."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network
from typing import TYPE_CHECKING

from spale_core.config.mistakes import BadValueError, quoted
from spale_core.config.values import Kind, items, refuse_repeated

if TYPE_CHECKING:
    from spale_core.model import Network

_MAPPED = IPv6Network("::ffff:0:0/96")
_PREFIX = re.compile(r"[0-9a-fA-F:.]+(?:/[0-9]{1,3})?")


def _read_address4(text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except ValueError:
        raise BadValueError(
            f"{quoted(text)} is no IPv4 address; write one of this host's, or 0.0.0.0"
        ) from None


def _read_address6(text: str) -> IPv6Address:
    right = "write one of this host's, or ::"
    try:
        address = IPv6Address(text)
    except ValueError:
        raise BadValueError(f"{quoted(text)} is no IPv6 address; {right}") from None
    if address.scope_id is not None or address.ipv4_mapped is not None:
        raise BadValueError(f"{quoted(text)} cannot be listened on; {right}")
    return address


ADDRESS4 = Kind(_read_address4)
ADDRESS6 = Kind(_read_address6)


def read_prefix(text: str) -> Network:
    """Return one address or prefix of an allowlist; raise BadValueError."""
    if not _PREFIX.fullmatch(text):
        raise BadValueError(
            f"{quoted(text)} is no address or prefix; write 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32"
        )
    try:
        prefix = ip_network(text, strict=False)
    except ValueError:
        raise BadValueError(
            f"{quoted(text)} is no address or prefix; write 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32"
        ) from None
    if "/" in text and ip_network(text.partition("/")[0]).network_address != prefix.network_address:
        raise BadValueError(f"{quoted(text)} has bits set behind the prefix; write {prefix}")
    if isinstance(prefix, IPv6Network):
        _refuse_mapped(text, prefix)
    return prefix


def _refuse_mapped(text: str, prefix: IPv6Network) -> None:
    if prefix.subnet_of(_MAPPED):
        raise BadValueError(f"{quoted(text)} is IPv4 in the form of IPv6; write the IPv4 address or prefix")
    if prefix.prefixlen > 0 and prefix.supernet_of(_MAPPED):
        raise BadValueError(
            f"{quoted(text)} contains ::ffff:0:0/96, which is all of IPv4; write a longer prefix,"
            " or ::/0 for all of IPv6"
        )


def _read_prefixes(text: str) -> tuple[Network, ...]:
    if not text.strip():
        return ()
    found = tuple(read_prefix(item) for item in items(text))
    refuse_repeated(found)
    return found


def _read_sources(text: str) -> tuple[Network, ...]:
    if not text.strip():
        raise BadValueError("is empty; name at least one prefix, or remove the line to allow any source")
    return _read_prefixes(text)


def _write_prefixes(prefixes: tuple[Network, ...]) -> str:
    return ",".join(map(str, prefixes))


PREFIXES = Kind(_read_prefixes, _write_prefixes)
SOURCES = Kind(_read_sources, _write_prefixes)

_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_BARE_DATE_LENGTH = 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def _read_expiry(text: str) -> int:
    """Return milliseconds since 1970; a bare date ends at 23:59:59 UTC, a time without a zone is UTC."""
    right = "write a date such as 2027-12-31 or 2027-12-31T18:00:00Z"
    if not _DATE.fullmatch(text):
        raise BadValueError(f"{quoted(text)} is no ISO 8601 date; {right}")
    try:
        moment = datetime.fromisoformat(f"{text}T23:59:59" if len(text) == _BARE_DATE_LENGTH else text)
    except ValueError:
        raise BadValueError(f"{quoted(text)} is no date of the calendar; {right}") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if not _EPOCH <= moment <= _LAST:
        raise BadValueError(f"{quoted(text)} is out of range; {right}")
    return (moment - _EPOCH) // _MILLISECOND


def _write_expiry(unix_ms: int) -> str:
    moment = _EPOCH + unix_ms * _MILLISECOND
    return moment.isoformat(timespec="milliseconds" if unix_ms % 1000 else "seconds").replace("+00:00", "Z")


EXPIRY = Kind(_read_expiry, _write_expiry)
