# SPDX-License-Identifier: MIT
"""From a name to the addresses behind it."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, cast

from spale_core.config.mistakes import shown
from spale_core.errors import UnavailableError, UsageError
from spale_core.knock import Target

if TYPE_CHECKING:
    from spale_core.knock import SocketAddress
    from spale_core.model import Address

FAMILIES: Final = {4: socket.AF_INET, 6: socket.AF_INET6}
"""The address family of each version of IP."""

_VERSIONS: Final = {int(family): version for version, family in FAMILIES.items()}

_LONGEST_LABEL: Final = 63


def resolve(host: str, port: int, family: int) -> list[Target]:
    """Return the addresses of `host`, of the address family `family` (AF_UNSPEC: of both).

    Raise UnavailableError if there is none, UsageError for what is no name.
    """
    _refuse_other_family(host, family)
    try:
        found = socket.getaddrinfo(_plain(host), port, family, socket.SOCK_DGRAM)
    except socket.gaierror as error:
        kind = f" to an IPv{_VERSIONS[family]} address" if family in _VERSIONS else ""
        raise UnavailableError(f"{shown(host)}: the name does not resolve{kind}: {error.strerror}") from None
    except UnicodeError:
        raise UsageError(f"{shown(host)}: not a host name") from None
    return [Target(unscoped(str(where[0])), cast("SocketAddress", where)) for *_, where in found]


def _plain(host: str) -> str | bytes:
    """Return a name of ASCII as bytes: for text Python loads the tables of IDNA, which takes 3 ms."""
    return host.encode() if host.isascii() and max(map(len, host.split("."))) <= _LONGEST_LABEL else host


def unscoped(text: str) -> Address:
    """Return an address without the interface that a link-local one is on."""
    return ip_address(text.partition("%")[0])


def _refuse_other_family(host: str, family: int) -> None:
    try:
        version = unscoped(host).version
    except ValueError:
        return
    wanted = _VERSIONS.get(family, version)
    if wanted != version:
        raise UsageError(f"{shown(host)} is an IPv{version} address, and -{wanted} wants IPv{wanted}")
