# SPDX-License-Identifier: MIT
"""What a profile can say, and what the options of the same names accept."""

from __future__ import annotations

import argparse
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from spale_core.cli.command import whole_number
from spale_core.config.mistakes import BadValueError, shown
from spale_core.errors import UsageError
from spale_core.knock import Binding

if TYPE_CHECKING:
    from collections.abc import Callable

    from spale_core.model import Address, Service

MAX_COUNT: Final = 100
WIRES: Final = {"v2": "hpke", "v1": "hpke-v1"}
"""Versions of the datagram, and the scheme that makes each."""


class Field(NamedTuple):
    """A key of a profile's `config`; ``read(text)`` returns its value or raises ArgumentTypeError.

    The option is the key in lower case, ``_`` as ``-``.
    """

    key: str
    metavar: str
    read: Callable[[str], Any]
    words: str

    @property
    def attribute(self) -> str:
        """Return the name of its value among the options."""
        return self.key.lower()

    @property
    def option(self) -> str:
        """Return the option that beats it."""
        return "--" + self.attribute.replace("_", "-")


def _host(text: str) -> str:
    if not text or not text.isprintable() or " " in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not a host name or address")
    return text


def _address(text: str) -> Address:
    try:
        return ip_address(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{shown(text)} is not an address; write one of this host's"
        ) from None


def _wire(text: str) -> str:
    if text not in WIRES:
        raise argparse.ArgumentTypeError(f"{text!r} is no version of the datagram; write v2 or v1")
    return text


def _services(text: str) -> tuple[Service, ...]:
    from spale_core.config.ports import parse_services  # noqa: PLC0415 - few knocks list services

    try:
        return tuple(sorted(parse_services(text)))
    except BadValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _binding(text: str) -> Binding:
    try:
        return Binding.parse(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


FIELDS: Final = (
    Field("HOST", "H", _host, "name or address to knock at; each of its addresses is, up to 8"),
    Field("PORT", "P", whole_number(1, 65535), "its SPA port"),
    Field(
        "BIND_SOURCE",
        "auto|off|ADDR|PREFIX",
        _binding,
        "open only for the address that is claimed here; auto (the default): the one this host sends from, "
        "if that is globally routable; of each family one can be named, as in 203.0.113.7,2001:db8::/56",
    ),
    Field("SERVICES", "LIST", _services, "ask only for these, such as 22/tcp,51820/udp (default: all)"),
    Field("IDLE_SEC", "N", whole_number(0, 65535), "ask for a shorter idle window than the server's"),
    Field("SOURCE", "ADDR", _address, "local address to send from"),
    Field(
        "COUNT",
        "N",
        whole_number(1, MAX_COUNT),
        "knock N times, 0.2 s apart, where datagrams get lost (default: 1)",
    ),
    Field("STEP", "30", whole_number(30, 30), "length of a time step; only 30, for old scripts and profiles"),
    Field("WIRE", "v2|v1", _wire, "version of the datagram (default: v2); v1 is the original C program's"),
)
"""In the order in which --help lists them; all but BIND_SOURCE and IDLE_SEC are the original's."""
