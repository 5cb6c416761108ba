# SPDX-License-Identifier: MIT
"""What `spale list` prints: a table for each of the daemon's lists. No I/O.

The lists are those of `spale_core.control.rows`, whose keys docs/control.md describes.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from spale_core.cli.tables import Column, Row, ago, ahead, span, table, word
from spale_core.cli.words import reason_words
from spale_core.config.ports import format_services, parse_services

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Found = Mapping[str, Any]
    """One row as the daemon gives it."""

MANUAL: Final = "(manual)"
"""In the place of a client's name, which has no brackets, where an administrator granted."""

_MS_PER_S = 1000


@frozen
class Listing:
    """One list: its `columns`, ``row(found, now_unix_ms)`` for each entry, and what is said if it is empty.

    ``order(found)`` sorts the entries; without it they come as the daemon has them.
    """

    columns: tuple[Column, ...]
    row: Callable[[Found, int], Row]
    empty: str
    order: Callable[[Found], tuple[Any, ...]] | None = None


def as_text(name: str, result: Any, now_unix_ms: int) -> Iterator[str]:  # noqa: ANN401 - as JSON has it
    """Return the lines of the list `name`; `result` is what the daemon answered."""
    listing, found = LISTINGS[name], result
    if isinstance(result, dict):
        yield rate_words(result["rate"], result["burst"])
        found = result["sources"]
    if not found:
        yield listing.empty
        return
    entries: Sequence[Found] = found if listing.order is None else sorted(found, key=listing.order)
    yield from table(listing.columns, [listing.row(entry, now_unix_ms) for entry in entries])


def rate_words(rate: int, burst: int) -> str:
    """Return what the rate limit is."""
    if not rate:
        return "knocks have no rate limit"
    return f"a source may knock {rate} times a second, {burst} times at once"


def client_words(name: str | None) -> str:
    """Return the client's name, or that there is none."""
    return MANUAL if name is None else word(name)


def owners_words(owners: Sequence[str | None]) -> str:
    """Return whose a session is."""
    return ", ".join(map(client_words, owners)) or "(nobody)"


def services_words(services: Sequence[str]) -> str:
    """Return the shortest text that means all of them."""
    return format_services(parse_services(",".join(services))).replace(",", ", ") if services else "none"


def grace_words(found: Found) -> str:
    """Return when a share's grace ends; a grace that is no longer than idle is none."""
    idle, grace = found["idle_s"], found["grace_s"]
    if idle is None or (grace is not None and grace <= idle):
        return "-"
    return ahead(found["grace_left_s"])


def _by_source(found: Found) -> tuple[Any, ...]:
    """Sort as addresses are counted, not as they are spelled."""
    text = found["source"]
    try:
        address = ip_address(text.partition("/")[0].partition("%")[0])
    except ValueError:
        return (0, 0, text)
    return (address.version, int(address), text)


def _by_service(found: Found) -> tuple[Any, ...]:
    port, _, protocol = found["service"].partition("/")
    return (port.rjust(5, "0"), protocol)


def _by_source_and_service(found: Found) -> tuple[Any, ...]:
    return (*_by_source(found), *_by_service(found), found.get("client") or "")


def _authorized(found: Found, _now: int) -> Row:
    is_live = found["state"] == "live"
    return Row(
        (
            word(found["source"]),
            word(found["service"]),
            client_words(found["client"]),
            word(found["state"]),
            ahead(found["idle_left_s"]) if is_live else "over",
            grace_words(found),
            ahead(found["ends_in_s"]),
        )
    )


def _allowed(found: Found, _now: int) -> Row:
    return Row((word(found["prefix"]), word(found["origin"])))


def _port(found: Found, _now: int) -> Row:
    return Row((word(found["service"]), *(str(found[key]) for key in ("clients", "grants", "sessions"))))


def _limit(found: Found, _now: int) -> Row:
    return Row((word(found["source"]), str(found["tokens"])))


def _session(found: Found, _now: int) -> Row:
    address, port = word(found["source"]), found["source_port"]
    opened = found["opened_s_ago"]
    closing = " (closing)" if found["state"] == "closing" else ""
    return Row(
        (
            f"[{address}]:{port}" if ":" in address else f"{address}:{port}",
            word(found["destination"]),
            word(found["service"]),
            "adopted" if opened is None else ago(opened),
            ago(found["used_s_ago"]),
            owners_words(found["owners"]) + closing,
        )
    )


def _client(found: Found, now_unix_ms: int) -> Row:
    knocked, expires = found["last_knock_unix_ms"], found["expires_unix_ms"]
    windows = ", ".join(f"{name} {span(found[f'{name}_s'])}" for name in ("idle", "grace", "max"))
    notes = [f"{word(found['fingerprint'])} {word(found['auth'])}", windows]
    if found["sources"]:
        notes.append(f"from {', '.join(map(word, found['sources']))}")
    return Row(
        (
            word(found["name"]),
            str(found["holds"]),
            "-" if knocked is None else ago((now_unix_ms - knocked) // _MS_PER_S),
            expiry_words(expires, now_unix_ms),
            services_words(found["services"]),
        ),
        notes,
    )


def expiry_words(expires_unix_ms: int | None, now_unix_ms: int) -> str:
    """Return when a client's key ends or ended."""
    if expires_unix_ms is None:
        return "never"
    left_s = (expires_unix_ms - now_unix_ms) // _MS_PER_S
    return ahead(left_s) if left_s >= 0 else ago(-left_s)


def _dropped(found: Found, _now: int) -> Row:
    reason, last = found["reason"], found["last_source"]
    return Row((word(reason), str(found["count"]), word(last or ""), reason_words(reason)))


LISTINGS: Final = {
    "authorized": Listing(
        (
            Column("SOURCE", whole=True),
            Column("SERVICE"),
            Column("CLIENT"),
            Column("STATE"),
            Column("IDLE"),
            Column("GRACE"),
            Column("ENDS"),
        ),
        _authorized,
        "nobody is authorized",
        _by_source_and_service,
    ),
    "allowlist": Listing(
        (Column("PREFIX", whole=True), Column("FROM")), _allowed, "nobody is always allowed"
    ),
    "ports": Listing(
        (
            Column("SERVICE"),
            Column("CLIENTS", is_number=True),
            Column("GRANTS", is_number=True),
            Column("SESSIONS", is_number=True),
        ),
        _port,
        "no port is protected",
        _by_service,
    ),
    "ratelimit": Listing(
        (Column("SOURCE", whole=True), Column("LEFT", is_number=True)),
        _limit,
        "nobody has knocked in the last moments",
        _by_source,
    ),
    "sessions": Listing(
        (
            Column("SOURCE", whole=True),
            Column("TO", whole=True),
            Column("SERVICE"),
            Column("OPENED"),
            Column("USED"),
            Column("CLIENTS"),
        ),
        _session,
        "there are no sessions",
        _by_source_and_service,
    ),
    "clients": Listing(
        (
            Column("CLIENT"),
            Column("HOLDS", is_number=True),
            Column("LAST KNOCK"),
            Column("EXPIRES"),
            Column("SERVICES"),
        ),
        _client,
        "there are no clients",
    ),
    "dropped": Listing(
        (
            Column("REASON"),
            Column("COUNT", is_number=True),
            Column("LAST SOURCE", whole=True),
            Column("THE PACKET"),
        ),
        _dropped,
        "nothing was dropped",
    ),
}
"""All lists, by the name that the command has for them."""
