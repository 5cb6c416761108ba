# SPDX-License-Identifier: MIT
"""What a valid configuration says, after every mistake in it has been refused."""

from __future__ import annotations

import enum
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    from spale_core.model import Network, Service

MAX_SERVICES = 256
"""The most services that are granted at once, to a client or by hand: all of them are, or none."""

MAX_PREFIXES = 65536
"""The most prefixes that the kernel is asked to let in without a knock."""

V1_SCHEME = "hpke-v1"
"""The scheme of the original C program's clients (docs/wire-format.md): no mac, and no source binding."""

V1_STEP_S = 30
"""How exactly its datagrams say their time: in which period of so many seconds it lies."""

_ANY4 = IPv4Address("0.0.0.0")  # noqa: S104 - a knock may come in anywhere
_ANY6 = IPv6Address("::")
_CLIENTS_DIR = Path("/etc/spale/clients")
_STATE_DIR = Path("/var/lib/spale")
_PIN_DIR = Path("/sys/fs/bpf/spale")
_SOCKET = Path("/run/spale/spale.sock")


class OnExit(enum.Enum):
    """What SIGTERM does to the attached programs."""

    KEEP = "keep"
    DETACH = "detach"


@frozen
class ClientSettings:
    """A client: its name (key file name without .pem), raw public key, and what it may have.

    Windows are seconds, -1 never ends; `sources` empty means from anywhere.
    """

    name: str
    public_key: bytes
    services: frozenset[Service]
    idle_s: int
    grace_s: int
    max_s: int
    sources: tuple[Network, ...] = ()
    auth: str = "hpke"
    expires_unix_ms: int | None = None

    @property
    def is_v1(self) -> bool:
        """Tell whether it knocks with version 1 of the datagram."""
        return self.auth == V1_SCHEME


@frozen
class Settings:
    """The whole configuration of one daemon; the names are the keys of spale.conf, with their units.

    `config_path` is the file that was read, None if there was none; `warnings` are sentences for `check` and
    the log, and like it no part of what the configuration says.
    """

    interfaces: tuple[str, ...]
    listen_port: int
    services: frozenset[Service]
    server_keys: tuple[Path, ...]
    clients: tuple[ClientSettings, ...]
    clients_dir: Path = _CLIENTS_DIR
    dataplane: str = "tc"
    listen_addr: IPv4Address = _ANY4
    listen_addr6: IPv6Address = _ANY6
    idle_s: int = 60
    grace_s: int = 300
    max_s: int = 43200
    session_s: int = 86400
    always_allow: tuple[Network, ...] = ()
    rate: int = 3
    burst: int = 3
    auth: tuple[str, ...] = ("hpke",)
    store: str = "sqlite"
    max_skew_s: int = 30
    require_source_binding: bool = False
    log_only: bool = False
    drop_privs: str | None = None
    on_exit: OnExit = OnExit.KEEP
    loader: str = "libbpf"
    xdp_mode: str = "auto"
    wait_interface: bool = False
    state_dir: Path = _STATE_DIR
    pin_maps: bool = False
    pin_dir: Path = _PIN_DIR
    socket: Path = _SOCKET
    socket_group: str | None = None
    adopt: bool = True
    log_level: str = "info"
    log_syslog: bool = False
    max_grants: int = 65536
    max_sessions: int = 65536
    max_sources: int = 16384
    client_max_sources: int = 16
    trial_s: int | None = None
    name: str | None = None
    config_path: Path | None = field(default=None, eq=False)
    warnings: tuple[str, ...] = field(default=(), eq=False)

    @property
    def v1_clients(self) -> tuple[int, ...]:
        """Return the places of the clients that knock with version 1 of the datagram."""
        return tuple(place for place, client in enumerate(self.clients) if client.is_v1)

    def own(self, path: Path) -> Path:
        """Return this daemon's own among the paths of several: ``path``, with a name ``path-NAME``."""
        return own_path(path, self.name)


def own_path(path: Path, name: str | None) -> Path:
    """Return the path of the daemon called `name`: ``path-NAME``; without a name it is `path`."""
    return path if name is None else path.parent / f"{path.name}-{name}"
