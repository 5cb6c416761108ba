# SPDX-License-Identifier: MIT
"""What the daemon says about itself, as plain values with keys that stay (docs/control.md). No I/O.

Seconds are whole, None where something never ends; ``unix_ms`` is the wall clock.
"""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Literal, TypedDict

from spale_core.fingerprint import fingerprint
from spale_core.model import NEVER_NS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from spale_core.config.settings import ClientSettings, Settings
    from spale_core.model import Bucket, Counter, Grant, Moment, Network, Reason, Service, Session, Source

_NS_PER_S = 1_000_000_000
_NEVER_S = -1
_ADOPTED_NS = 0
_SITE_BITS = 64
"""What of an IPv6 address a bucket is for."""


class Hello(TypedDict):
    """Who answers, and what the caller may do: `role` is admin or reader."""

    protocol: int
    version: str
    pid: int
    role: str


class Guarded(TypedDict):
    """A protected interface; `losses` counts how often somebody else took our program off it.

    `waiting`: it is not there, and is guarded as soon as it is.
    """

    interface: str
    mode: str | None
    attached: bool
    waiting: bool
    losses: int


class LastReload(TypedDict):
    """What came of the last reload: "ok", why it failed, or None if there was none."""

    last: str | None
    at_unix_ms: int | None


class Status(TypedDict):
    """How the daemon is."""

    version: str
    pid: int
    listener_pid: int
    listener_filter: bool | None
    name: str | None
    dataplane: str
    loader: str
    interfaces: list[Guarded]
    listen_port: int
    log_only: bool
    store: str
    uptime_s: int
    clients: int
    grants: int
    sessions: int
    max_grants: int
    max_sessions: int
    unbound_until_unix_ms: int | None
    reload: LastReload
    trial_left_s: int | None
    warnings: list[str]
    socket: str


class Authorized(TypedDict):
    """A client's share in a grant; `client` is None for one that was made by hand."""

    client: str | None
    source: str
    service: str
    state: Literal["live", "grace"]
    idle_s: int | None
    grace_s: int | None
    used_s_ago: int
    idle_left_s: int | None
    grace_left_s: int | None
    ends_in_s: int | None


class Allowed(TypedDict):
    """A prefix that needs no knock."""

    prefix: str
    origin: Literal["configuration", "manual"]


class Port(TypedDict):
    """A protected service: how many clients may have it, and what there is now."""

    service: str
    clients: int
    grants: int
    sessions: int


class Limit(TypedDict):
    """How many knocks a source may make at once by now; of IPv6, its /64."""

    source: str
    tokens: int


class OpenSession(TypedDict):
    """A TCP session; `opened_s_ago` is None for one that stood at the first attach."""

    source: str
    source_port: int
    destination: str
    service: str
    state: str
    opened_s_ago: int | None
    used_s_ago: int
    owners: list[str | None]


class Client(TypedDict):
    """A configured client; `sources` empty means from anywhere, `holds` counts addresses."""

    name: str
    fingerprint: str
    auth: str
    services: list[str]
    sources: list[str]
    idle_s: int | None
    grace_s: int | None
    max_s: int | None
    expires_unix_ms: int | None
    holds: int
    last_knock_unix_ms: int | None


class Dropped(TypedDict):
    """What the kernel dropped for one reason, since it counts."""

    reason: str
    count: int
    last_source: str | None


def source_text(source: Source, names: Mapping[int, str]) -> str:
    """Return `source` as people write it: a link-local one with its interface's name."""
    if not source.ifindex:
        return str(source.address)
    return f"{source.address}%{names.get(source.ifindex, source.ifindex)}"


def authorized(client: str, grant: Grant, now: Moment, names: Mapping[int, str]) -> Authorized | None:
    """Return the row of what `client` holds, None if it is over by now."""
    now_ns = now.monotonic_ns
    if grant.dead_ns <= now_ns:
        return None
    age_ns = max(0, now_ns - grant.last_ns)
    return Authorized(
        client=client or None,
        source=source_text(grant.source, names),
        service=str(grant.service),
        state="live" if age_ns <= grant.idle_ns else "grace",
        idle_s=_window_s(grant.idle_ns),
        grace_s=_window_s(grant.grace_ns),
        used_s_ago=age_ns // _NS_PER_S,
        idle_left_s=_left_s(grant.idle_ns, age_ns),
        grace_left_s=_left_s(grant.grace_ns, age_ns),
        ends_in_s=_left_s(grant.end_ns, now_ns),
    )


def allowed(prefix: Network, origin: Literal["configuration", "manual"]) -> Allowed:
    """Return the row of a prefix that needs no knock."""
    return Allowed(prefix=str(prefix), origin=origin)


def limit(bucket: Bucket, settings: Settings, now: Moment, names: Mapping[int, str]) -> Limit | None:
    """Return the row of a source that has made knocks, None if all of that is forgotten by now."""
    if not settings.rate:
        return None
    owed_ns = max(0, bucket.full_ns - now.monotonic_ns)
    owed = -(-owed_ns // (_NS_PER_S // settings.rate))
    if not owed:
        return None
    source = source_text(bucket.source, names)
    is_site = isinstance(bucket.source.address, IPv6Address)
    text = f"{source}/{_SITE_BITS}" if is_site else source
    return Limit(source=text, tokens=max(0, settings.burst - owed))


def session(session: Session, owners: Iterable[str], now: Moment, names: Mapping[int, str]) -> OpenSession:
    """Return the row of a session that belongs to `owners`."""
    now_ns = now.monotonic_ns
    adopted = session.opened_ns == _ADOPTED_NS
    return OpenSession(
        source=source_text(session.source, names),
        source_port=session.source_port,
        destination=str(session.destination),
        service=str(session.service),
        state=session.state.value,
        opened_s_ago=None if adopted else max(0, now_ns - session.opened_ns) // _NS_PER_S,
        used_s_ago=max(0, now_ns - session.last_ns) // _NS_PER_S,
        owners=[owner or None for owner in sorted(owners)],
    )


def client(client: ClientSettings, holds: int, last_knock_unix_ms: int | None) -> Client:
    """Return the row of a client."""
    return Client(
        name=client.name,
        fingerprint=fingerprint(client.public_key),
        auth=client.auth,
        services=[str(service) for service in sorted(client.services)],
        sources=[str(prefix) for prefix in client.sources],
        idle_s=_configured_s(client.idle_s),
        grace_s=_configured_s(client.grace_s),
        max_s=_configured_s(client.max_s),
        expires_unix_ms=client.expires_unix_ms,
        holds=holds,
        last_knock_unix_ms=last_knock_unix_ms,
    )


def dropped(reason: Reason, counter: Counter, names: Mapping[int, str]) -> Dropped:
    """Return the row of a reason."""
    last = None if counter.last_source is None else source_text(counter.last_source, names)
    return Dropped(reason=reason.value, count=counter.count, last_source=last)


def port(service: Service, clients: int, grants: int, sessions: int) -> Port:
    """Return the row of a protected service."""
    return Port(service=str(service), clients=clients, grants=grants, sessions=sessions)


def _window_s(window_ns: int) -> int | None:
    return None if window_ns == NEVER_NS else window_ns // _NS_PER_S


def _left_s(end_ns: int, passed_ns: int) -> int | None:
    """Return what is left, rounded up: what is not over has a second left."""
    return None if end_ns == NEVER_NS else -(-max(0, end_ns - passed_ns) // _NS_PER_S)


def _configured_s(window_s: int) -> int | None:
    return None if window_s == _NEVER_S else window_s
