# SPDX-License-Identifier: MIT
"""The list of services as it is written: ``22``, ``22/tcp``, ``51820/udp``, ``6000-6010/tcp``."""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING

from spale_core.config.mistakes import BadValueError, quoted
from spale_core.model import Protocol, Service

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_ITEM = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?(?:/([a-zA-Z]+))?")
_FORMS = "22 (both protocols), 22/tcp, 51820/udp or 6000-6010/tcp, separated by commas"
_PROTOCOLS = {
    None: (Protocol.TCP, Protocol.UDP),
    "tcp": (Protocol.TCP,),
    "udp": (Protocol.UDP,),
}
_LAST_PORT = 65535


def parse_services(text: str) -> frozenset[Service]:
    """Return the union of the services that `text` lists; raise BadValueError."""
    if not text.strip():
        raise BadValueError(f"is empty; name at least one port: {_FORMS}")
    return frozenset(service for item in text.split(",") for service in _services(item.strip()))


def _services(item: str) -> Iterator[Service]:
    match = _ITEM.fullmatch(item)
    if match is None:
        raise BadValueError(f"{quoted(item)} is no port; write {_FORMS}")
    first = int(match[1])
    last = int(match[2]) if match[2] else first
    protocols = _PROTOCOLS.get(match[3])
    if protocols is None:
        raise BadValueError(
            f"{quoted(item)} has a protocol that is none; write tcp or udp, or leave it out for both"
        )
    if not 1 <= first <= _LAST_PORT or not 1 <= last <= _LAST_PORT:
        raise BadValueError(f"{quoted(item)} is out of range; ports go from 1 to {_LAST_PORT}")
    if last < first:
        raise BadValueError(f"{quoted(item)} runs backwards; write {last}-{first}")
    for port in range(first, last + 1):
        for protocol in protocols:
            yield Service(protocol, port)


def format_services(services: Iterable[Service]) -> str:
    """Return the shortest text that `parse_services` reads as `services`, in the order of the ports."""
    ports: dict[int, set[Protocol]] = {}
    for service in services:
        ports.setdefault(service.port, set()).add(service.protocol)
    numbered = enumerate(sorted((port, tuple(sorted(found))) for port, found in ports.items()))
    runs = groupby(numbered, key=lambda entry: (entry[1][0] - entry[0], entry[1][1]))
    return ",".join(_run([port for _, (port, _) in run], protocols) for (_, protocols), run in runs)


def _run(ports: list[int], protocols: tuple[Protocol, ...]) -> str:
    span = str(ports[0]) if len(ports) == 1 else f"{ports[0]}-{ports[-1]}"
    return span if len(protocols) > 1 else f"{span}/{protocols[0].name.lower()}"
