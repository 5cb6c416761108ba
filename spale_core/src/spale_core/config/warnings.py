# SPDX-License-Identifier: MIT
"""What is no mistake and may still surprise: sentences for `spale check` and the log at start."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING

from spale_core.config.host import DEFAULT_USER
from spale_core.config.localports import PROC, find_clash
from spale_core.config.settings import V1_SCHEME
from spale_core.config.values import NEVER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spale_core.config.settings import Settings

_SYS = Path("/sys/class/net")


def find_warnings(
    settings: Settings, unix_ms: int, *, proc: Path = PROC, sys: Path = _SYS
) -> tuple[str, ...]:
    """Return every warning about `settings` on this host at the time `unix_ms`."""
    return (
        *_ephemeral_ports(settings, proc),
        *_forwarding(settings, proc, sys),
        *_endless(settings),
        *_everybody(settings),
        *_expired(settings, unix_ms),
        *_shared_user(settings),
        *_unused_scheme(settings),
    )


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _ephemeral_ports(settings: Settings, proc: Path) -> Iterator[str]:
    clash = find_clash(settings, proc)
    if clash is not None:
        yield str(clash)


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


def _unused_scheme(settings: Settings) -> Iterator[str]:
    if V1_SCHEME in settings.auth and not settings.v1_clients:
        yield f"AUTH: {V1_SCHEME} is listed, but no client has NAME_AUTH={V1_SCHEME}; leave it out"
