# SPDX-License-Identifier: MIT
"""From a name to the addresses behind it."""

from __future__ import annotations

import socket
import time
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

_PAUSE_S: Final = 0.5
"""Between two questions for an address while the network is just coming up."""


def resolve(host: str, port: int, family: int, patience_s: float = 0) -> list[Target]:
    """Return the addresses of `host`, of the address family `family` (AF_UNSPEC: of both).

    While nobody can be asked, ask again for `patience_s` s. Raise UnavailableError if there is none,
    UsageError for what is no name.
    """
    _refuse_other_family(host, family)
    end = time.monotonic() + patience_s
    while True:
        try:
            found = socket.getaddrinfo(_plain(host), port, family, socket.SOCK_DGRAM)
        except socket.gaierror as error:
            if error.errno == socket.EAI_AGAIN and time.monotonic() + _PAUSE_S < end:
                time.sleep(_PAUSE_S)
                continue
            refuse_other_forms(host)
            kind = f" to an IPv{_VERSIONS[family]} address" if family in _VERSIONS else ""
            raise UnavailableError(
                f"{shown(host)}: the name does not resolve{kind}: {error.strerror}"
            ) from None
        except UnicodeError:
            raise UsageError(f"{shown(host)}: not a host name") from None
        return [Target(unscoped(str(where[0])), cast("SocketAddress", where)) for *_, where in found]


def refuse_other_forms(host: str) -> None:
    """Raise UsageError for an address in brackets or with a port, which are for URLs."""
    bare, colon, port = host.rpartition(":")
    if host.startswith("["):
        bare, _, rest = host[1:].partition("]")
        also = f", and --port {rest[1:]}" if rest[1:].isdigit() else ""
        raise UsageError(f"{shown(host)}: an address stands without brackets here; write {shown(bare)}{also}")
    if colon and ":" not in bare and port.isdigit():
        raise UsageError(
            f"{shown(host)}: a host stands without a port here; write {shown(bare)}, and --port {port}"
        )


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
