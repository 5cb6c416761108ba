# SPDX-License-Identifier: MIT
"""Protected ports that the host also takes for connections of its own, whose replies would be dropped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from spale_core.config.ports import format_services
from spale_core.model import Protocol, Service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spale_core.config.settings import Settings

PROC = Path("/proc/sys/net")


@frozen
class Clash:
    """Services that lie inside ip_local_port_range and are not reserved; `command` reserves them."""

    services: str
    bounds: tuple[int, int]
    command: str

    def __str__(self) -> str:
        """Return the sentence for `check` and the log."""
        return f"PROTECTED_PORTS: {self.words}; reserve it: {self.command}"

    @property
    def words(self) -> str:
        """Return what is the matter."""
        first, last = self.bounds
        return (
            f"{self.services} lies inside ip_local_port_range ({first}-{last}), so replies to this host's own"
            " connections from there would be dropped"
        )


def local_range(proc: Path = PROC) -> tuple[int, int] | None:
    """Return the first and last port of ip_local_port_range, None if the host does not tell."""
    bounds = _text(proc / "ipv4/ip_local_port_range").split()
    if len(bounds) != 2:  # noqa: PLR2004 - first and last
        return None
    return int(bounds[0]), int(bounds[1])


def find_clash(settings: Settings, proc: Path = PROC) -> Clash | None:
    """Return what of `settings` clashes with the host's own ports, None if nothing does."""
    bounds = local_range(proc)
    if bounds is None:
        return None
    reserved = set(_ports(_text(proc / "ipv4/ip_local_reserved_ports")))
    local = set(range(bounds[0], bounds[1] + 1)) - reserved
    inside = [service for service in settings.services if service.port in local]
    if not inside:
        return None
    keep = format_services(
        Service(protocol, port)
        for port in reserved | {service.port for service in inside}
        for protocol in Protocol
    )
    command = f"sysctl -w net.ipv4.ip_local_reserved_ports={keep}"
    return Clash(format_services(inside), bounds, command)


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _ports(text: str) -> Iterator[int]:
    for item in filter(None, text.split(",")):
        first, _, last = item.partition("-")
        yield from range(int(first), int(last or first) + 1)
