# SPDX-License-Identifier: MIT
"""What is no mistake and may still surprise: sentences for `spale check` and the log at start."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING

from spale_core.config.host import DEFAULT_USER
from spale_core.config.ports import format_services
from spale_core.config.values import NEVER
from spale_core.model import Protocol, Service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spale_core.config.settings import Settings

_PROC = Path("/proc/sys/net")
_SYS = Path("/sys/class/net")


def find_warnings(
    settings: Settings, unix_ms: int, *, proc: Path = _PROC, sys: Path = _SYS
) -> tuple[str, ...]:
    """Return every warning about `settings` on this host at the time `unix_ms`."""
    return (
        *_ephemeral_ports(settings, proc),
        *_forwarding(settings, proc, sys),
        *_endless(settings),
        *_everybody(settings),
        *_expired(settings, unix_ms),
        *_shared_user(settings),
    )


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _ephemeral_ports(settings: Settings, proc: Path) -> Iterator[str]:
    bounds = _text(proc / "ipv4/ip_local_port_range").split()
    if len(bounds) != 2:  # noqa: PLR2004 - first and last
        return
    reserved = set(_ports(_text(proc / "ipv4/ip_local_reserved_ports")))
    local = set(range(int(bounds[0]), int(bounds[1]) + 1)) - reserved
    inside = [service for service in settings.services if service.port in local]
    if inside:
        keep = format_services(
            Service(protocol, port)
            for port in reserved | {service.port for service in inside}
            for protocol in Protocol
        )
        yield (
            f"PROTECTED_PORTS: {format_services(inside)} lies inside ip_local_port_range"
            f" ({'-'.join(bounds)}), so replies to this host's own connections from there would be dropped;"
            " reserve it:"
            f" sysctl -w net.ipv4.ip_local_reserved_ports={keep}"
        )


def _ports(text: str) -> Iterator[int]:
    for item in filter(None, text.split(",")):
        first, _, last = item.partition("-")
        yield from range(int(first), int(last or first) + 1)


def _forwarding(settings: Settings, proc: Path, sys: Path) -> Iterator[str]:
    judged = "packets that are forwarded to these ports are judged too"
    for name in settings.interfaces:
        if (sys / name / "brport").exists():
            yield f"IFACE: {name} is a port of a bridge: {judged}"
    for family, switch in (("IPv4", "ipv4/ip_forward"), ("IPv6", "ipv6/conf/all/forwarding")):
        if _text(proc / switch) == "1":
            yield f"IFACE: this host forwards {family} ({switch}=1): {judged}"


def _endless(settings: Settings) -> Iterator[str]:
    names = [client.name for client in settings.clients if client.idle_s == NEVER]
    if names:
        yield (
            f"IDLE_SEC: -1 for {', '.join(names)}: an address that others share (NAT) stays open to them "
            "until MAX_SEC, or for ever if that is -1 too"
        )


def _everybody(settings: Settings) -> Iterator[str]:
    for prefix in settings.always_allow:
        if prefix.prefixlen == 0:
            yield f"ALWAYS_ALLOW: {prefix} lets in all of IPv{prefix.version} without a knock"


def _expired(settings: Settings, unix_ms: int) -> Iterator[str]:
    for client in settings.clients:
        if client.expires_unix_ms is not None and client.expires_unix_ms < unix_ms:
            yield f"EXPIRES: client {client.name} has expired; its knocks are refused"


def _shared_user(settings: Settings) -> Iterator[str]:
    if settings.drop_privs is not None or os.geteuid() != 0:
        return
    try:
        pwd.getpwnam(DEFAULT_USER)
    except KeyError:
        yield (
            f"DROP_PRIVS: there is no user {DEFAULT_USER}, so the listener runs as nobody, a uid that others"
            f" may share; useradd --system --no-create-home {DEFAULT_USER}"
        )
