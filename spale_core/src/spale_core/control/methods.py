# SPDX-License-Identifier: MIT
"""The methods of the management socket, in one table (docs/control.md): what each takes, does and answers."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from spale_core.control import by_hand, facts, rows, wire
from spale_core.control.answers import Later, Rows, Whole
from spale_core.control.params import Parameter, read_all, read_service, read_source, read_text
from spale_core.errors import DataError
from spale_core.model import Reason
from spale_core.reload_events import Reloaded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from spale_core.control.answers import Tell
    from spale_core.control.desk import Desk
    from spale_core.model import Service

    Row = Mapping[str, object]
    Answer = Row | Rows | Whole | Later


@frozen
class Asked:
    """One call: `params` are read already; `role` is admin or reader."""

    desk: Desk
    role: str
    params: Mapping[str, Any]


@frozen(kw_only=True)
class Method:
    """One method; one that is `reading` may also be called by who may only read.

    ``answer(asked)`` may raise SpaleError, and BadValueError for what its parameters mean together.
    """

    name: str
    reading: bool
    answer: Callable[[Asked], Answer]
    parameters: tuple[Parameter, ...] = field(default=())


def call(method: Method, desk: Desk, role: str, given: Mapping[str, object]) -> Answer:
    """Return what `method` answers; raise BadValueError for parameters, SpaleError for the rest."""
    return method.answer(Asked(desk, role, read_all(method.parameters, given)))


def _hello(asked: Asked) -> rows.Hello:
    return rows.Hello(protocol=wire.PROTOCOL, version=asked.desk.version, pid=asked.desk.pid, role=asked.role)


def _status(asked: Asked) -> rows.Status:
    return asked.desk.status()


def _list_authorized(asked: Asked) -> Rows:
    desk = asked.desk
    now, names, holdings = desk.now(), desk.interfaces, desk.holdings
    pairs = holdings.pairs()

    def found() -> Iterator[rows.Authorized | None]:
        for pair in pairs:
            for client, grant in list(holdings.shares(pair).items()):
                yield rows.authorized(client, grant, now, names)

    return Rows(found())


def _list_allowlist(asked: Asked) -> Rows:
    return Rows(facts.allowlist(asked.desk))


def _list_ports(asked: Asked) -> Rows:
    desk = asked.desk
    settings, pairs, sessions = desk.settings, desk.holdings.pairs(), desk.dataplane.browse_sessions()

    def found() -> Iterator[rows.Port | None]:
        sets: Counter[frozenset[Service]] = Counter()
        counts: tuple[Counter[Service], ...] = (Counter(), Counter(), Counter())
        for client in settings.clients:
            # Of many clients most have the same services.
            sets[client.services] += 1
            yield None
        for services, number in sets.items():
            for service in services:
                counts[0][service] += number
                yield None
        for _, service in pairs:
            counts[1][service] += 1
            yield None
        for session in sessions:
            counts[2][session.service] += 1
            yield None
        for service in sorted(settings.services):
            yield rows.port(service, *(count[service] for count in counts))

    return Rows(found())


def _list_ratelimit(asked: Asked) -> Rows:
    desk = asked.desk
    now, names, settings = desk.now(), desk.interfaces, desk.settings
    found = (rows.limit(bucket, settings, now, names) for bucket in desk.dataplane.buckets())
    return Rows(found, {"rate": settings.rate, "burst": settings.burst}, "sources")


def _list_sessions(asked: Asked) -> Rows:
    desk = asked.desk
    now, names, owners = desk.now(), desk.interfaces, desk.owners
    found = desk.dataplane.browse_sessions()
    return Rows(rows.session(session, owners.of(session), now, names) for session in found)


def _list_clients(asked: Asked) -> Rows:
    holdings, knocks = asked.desk.holdings, asked.desk.last_knocks
    return Rows(
        rows.client(client, holdings.sources(client.name), knocks.get(client.name))
        for client in asked.desk.settings.clients
    )


def _list_dropped(asked: Asked) -> Rows:
    names = asked.desk.interfaces
    counted = sorted(asked.desk.counters.items(), key=lambda item: item[1].count, reverse=True)
    return Rows(
        rows.dropped(reason, counter, names) for reason, counter in counted if reason is not Reason.UNTRACKED
    )


def _revoke(asked: Asked) -> Row:
    client = asked.params["client"]
    if all(client != each.name for each in asked.desk.settings.clients):
        raise DataError(f"there is no client {client!r}; `spale list clients` names them")
    revoked = [each for each in asked.desk.revoke(client) if each.client == client]
    return {
        "ended": sum(len(each.services) for each in revoked),
        "sessions": sum(each.sessions for each in revoked),
    }


def _reload(asked: Asked) -> Later:
    def ask(tell: Tell) -> None:
        asked.desk.reload(lambda told: tell(_reloaded(told) if isinstance(told, Reloaded) else told))

    return Later(ask)


def _reloaded(outcome: Reloaded) -> Row:
    return {
        "services": [str(service) for service in outcome.services],
        "clients": outcome.clients,
        "grants": outcome.grants,
        "cut": outcome.cut,
        "ended": outcome.ended,
        "sessions": outcome.sessions,
        "took_s": outcome.took_s,
        "log_only": bool(outcome.log_only),
    }


def _facts(asked: Asked) -> Whole:
    source = facts.resolved(asked.params["source"], asked.desk.interfaces)
    return Whole(facts.found(asked.desk, source, asked.params["service"]))


_CLIENT: Final = Parameter("client", "client's name", read_text)
_SOURCE: Final = Parameter("source", "address", read_source)
_SERVICE: Final = Parameter("service", "service", read_service)

_TABLE: Final = (
    Method(name="hello", reading=True, answer=_hello),
    Method(name="status", reading=True, answer=_status),
    Method(name="list_authorized", reading=True, answer=_list_authorized),
    Method(name="list_allowlist", reading=True, answer=_list_allowlist),
    Method(name="list_ports", reading=True, answer=_list_ports),
    Method(name="list_ratelimit", reading=True, answer=_list_ratelimit),
    Method(name="list_sessions", reading=True, answer=_list_sessions),
    Method(name="list_clients", reading=True, answer=_list_clients),
    Method(name="list_dropped", reading=True, answer=_list_dropped),
    Method(name="facts", reading=True, answer=_facts, parameters=(_SOURCE, _SERVICE)),
    Method(name="revoke", reading=False, answer=_revoke, parameters=(_CLIENT,)),
    Method(
        name="authorize_add", reading=False, answer=by_hand.authorize_add, parameters=by_hand.AUTHORIZE_ADD
    ),
    Method(
        name="authorize_del", reading=False, answer=by_hand.authorize_del, parameters=by_hand.AUTHORIZE_DEL
    ),
    Method(name="allowlist_add", reading=False, answer=by_hand.allowlist_add, parameters=by_hand.ALLOWLIST),
    Method(name="allowlist_del", reading=False, answer=by_hand.allowlist_del, parameters=by_hand.ALLOWLIST),
    Method(name="reload", reading=False, answer=_reload),
    Method(name="confirm", reading=False, answer=by_hand.confirm),
)

METHODS: Final = {method.name: method for method in _TABLE}
"""All of them, by name."""
