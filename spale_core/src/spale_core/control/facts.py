# SPDX-License-Identifier: MIT
"""What `spale explain` must know of the daemon: all that decides about packets of one source. No I/O.

Times are nanoseconds of CLOCK_MONOTONIC as the kernel has them: a second instance of the program is filled
with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from spale_core.config.mistakes import BadValueError, quoted
from spale_core.control import rows
from spale_core.gate import is_host
from spale_core.model import Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from spale_core.config.settings import ClientSettings, Settings
    from spale_core.control.desk import Desk
    from spale_core.model import Connection, Grant, Service, Session

    Scoped = tuple[Source, str | None]
    """An address, and the name of the interface that it is on if it is a link-local one."""

_NAMED = 10
"""So many clients are named that a knock would let in."""


class KernelSettings(TypedDict):
    """What the program is told at its start; see `spale_core.interfaces.DataplaneSettings`."""

    spa_port: int
    rate: int
    burst: int
    session_s: int
    log_only: bool
    xdp_mode: str
    loader: str


class KernelGrant(TypedDict):
    """A grant of the source, as the kernel has it."""

    service: str
    last_ns: int
    idle_ns: int
    grace_ns: int
    end_ns: int


class KernelSession(TypedDict):
    """A session of the source, as the kernel has it, and whose it is."""

    service: str
    source_port: int
    destination: str
    opened_ns: int
    last_ns: int
    state: str
    owners: list[str | None]


class Facts(TypedDict):
    """The answer; `shares` are the clients' shares in its grants, `may` those that a knock would let in."""

    source: str
    ifindex: int
    service: str
    version: str
    now_ns: int
    dataplane: str
    settings: KernelSettings
    services: list[str]
    always_allow: list[rows.Allowed]
    grants: list[KernelGrant]
    sessions: list[KernelSession]
    shares: list[rows.Authorized]
    may: list[str]


def resolved(scoped: Scoped, interfaces: Mapping[int, str], name_of: str = "source") -> Source:
    """Return the source as the kernel keys it; raise BadValueError if its interface is missing or unknown.

    `name_of` is the parameter's name.
    """
    source, name = scoped
    index = next((index for index, each in interfaces.items() if name in {each, str(index)}), None)
    plain = Source.arrived(source.address, index or 0)
    is_scoped = Source.arrived(source.address, 1).ifindex
    if name is None and is_scoped:
        right = f"{source}%{next(iter(interfaces.values()), 'eth0')}"
        raise BadValueError(f"{name_of}: {source} is on a link; write for example {right}")
    if name is not None and (index is None or not is_scoped):
        raise BadValueError(f"{name_of}: %{quoted(name)} is no protected interface of a link-local address")
    return plain


def allowlist(desk: Desk) -> Iterator[rows.Allowed]:
    """Yield what needs no knock."""
    yield from (rows.allowed(prefix, "configuration") for prefix in desk.settings.always_allow)
    yield from (rows.allowed(prefix, "manual") for prefix in desk.allowed_by_hand)


def found(desk: Desk, source: Source, service: Service) -> Iterator[Facts | None]:
    """Yield None for each thing looked at, and last the answer; raise DataplaneError."""
    grants: dict[Service, Grant] = {}
    for grant in desk.dataplane.browse_grants():
        if grant.source == source:
            grants[grant.service] = grant
        yield None
    sessions: dict[Connection, Session] = {}
    for session in desk.dataplane.browse_sessions():
        if session.source == source:
            sessions[session.connection] = session
        yield None
    may: list[str] = []
    for client in desk.settings.clients:
        if len(may) < _NAMED and _may(client, source, service, desk.now().unix_ms):
            may.append(client.name)
        yield None
    facts = _about(desk, source, sorted(grants.values(), key=lambda grant: grant.service))
    facts["service"] = str(service)
    facts["sessions"] = [_session(session, desk.owners.of(session)) for session in sessions.values()]
    facts["may"] = may
    yield facts


def _about(desk: Desk, source: Source, grants: Iterable[Grant]) -> Facts:
    """Return all but what is about one service."""
    settings, now, names = desk.settings, desk.now(), desk.interfaces
    shares = [
        rows.authorized(client, share, now, names)
        for grant in grants
        for client, share in desk.holdings.shares((source, grant.service)).items()
    ]
    return Facts(
        source=rows.source_text(source, names),
        ifindex=source.ifindex,
        service="",
        version=desk.version,
        now_ns=now.monotonic_ns,
        dataplane=settings.dataplane,
        settings=_kernel_settings(settings),
        services=[str(each) for each in sorted(settings.services)],
        always_allow=list(allowlist(desk)),
        grants=[_grant(grant) for grant in grants],
        sessions=[],
        shares=[share for share in shares if share is not None],
        may=[],
    )


def _kernel_settings(settings: Settings) -> KernelSettings:
    return KernelSettings(
        spa_port=settings.listen_port,
        rate=settings.rate,
        burst=settings.burst,
        session_s=settings.session_s,
        log_only=settings.log_only,
        xdp_mode=settings.xdp_mode,
        loader=settings.loader,
    )


def _may(client: ClientSettings, source: Source, service: Service, unix_ms: int) -> bool:
    """Tell whether a knock of `client` from `source` would open `service`."""
    if service not in client.services or not is_host(source):
        return False
    if client.expires_unix_ms is not None and client.expires_unix_ms < unix_ms:
        return False
    return not client.sources or any(source.address in prefix for prefix in client.sources)


def _grant(grant: Grant) -> KernelGrant:
    return KernelGrant(
        service=str(grant.service),
        last_ns=grant.last_ns,
        idle_ns=grant.idle_ns,
        grace_ns=grant.grace_ns,
        end_ns=grant.end_ns,
    )


def _session(session: Session, owners: Iterable[str]) -> KernelSession:
    return KernelSession(
        service=str(session.service),
        source_port=session.source_port,
        destination=str(session.destination),
        opened_ns=session.opened_ns,
        last_ns=session.last_ns,
        state=session.state.value,
        owners=[owner or None for owner in sorted(owners)],
    )
