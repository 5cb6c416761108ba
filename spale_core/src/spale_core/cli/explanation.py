# SPDX-License-Identifier: MIT
"""What `spale explain` asks and says: facts become a rehearsal, its outcome becomes words. No I/O."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from spale_core.cli.listings import owners_words
from spale_core.cli.tables import ago, ahead, paragraph, word
from spale_core.cli.words import REASONS
from spale_core.config.ports import parse_services
from spale_core.interfaces import DataplaneSettings
from spale_core.model import (
    Admission,
    Grant,
    PacketKind,
    Reason,
    Rehearsal,
    Service,
    Session,
    SessionState,
    Source,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from spale_core.control.facts import Facts
    from spale_core.control.rows import Authorized
    from spale_core.model import Rehearsed

_NAMED: Final = 10
"""So many clients the daemon names at most."""

_NS_PER_S: Final = 1_000_000_000
_KINDS: Final = {
    PacketKind.SYN: "a new connection",
    PacketKind.ACK: "a packet of a connection that is not known",
    PacketKind.UDP: "a packet",
}
_ADMISSIONS: Final = {
    Admission.UNPROTECTED: "it is not among the protected ports, so nothing of spale judges it",
    Admission.ALWAYS_ALLOWED: "its source needs no knock",
    Admission.LIVE: "by a grant that is live",
    Admission.GRACE: "by a grant in grace, which it makes live again",
    Admission.SESSION: "by its session, with or without a grant",
    Admission.LOG_ONLY: "only because nothing is dropped (LOG_ONLY)",
}


@frozen
class Explained:
    """One service: what the daemon says of it, and what became of the packets in a rehearsal."""

    facts: Facts
    packets: Sequence[Rehearsed]


def settings(facts: Facts) -> DataplaneSettings:
    """Return what a second instance of the program is told at its start; its sizes are its own affair."""
    kernel = facts["settings"]
    return DataplaneSettings(
        spa_port=kernel["spa_port"],
        rate=kernel["rate"],
        burst=kernel["burst"],
        max_grants=1,
        max_sources=1,
        max_tags=1,
        session_s=kernel["session_s"],
        log_only=kernel["log_only"],
        xdp_mode=kernel["xdp_mode"],
        loader=kernel["loader"],
    )


def rehearsal(facts: Facts) -> Rehearsal:
    """Return the question, with everything that the daemon says there is to judge by."""
    source = Source(ip_address(facts["source"].partition("%")[0]), facts["ifindex"])
    return Rehearsal(
        source=source,
        service=_service(facts["service"]),
        services=parse_services(",".join(facts["services"])),
        always_allow=tuple(ip_network(each["prefix"]) for each in facts["always_allow"]),
        grants=tuple(
            Grant(
                source=source,
                service=_service(each["service"]),
                last_ns=each["last_ns"],
                idle_ns=each["idle_ns"],
                grace_ns=each["grace_ns"],
                end_ns=each["end_ns"],
            )
            for each in facts["grants"]
        ),
        sessions=tuple(
            Session(
                source=source,
                service=_service(each["service"]),
                destination=ip_address(each["destination"]),
                source_port=each["source_port"],
                opened_ns=each["opened_ns"],
                last_ns=each["last_ns"],
                state=SessionState(each["state"]),
            )
            for each in facts["sessions"]
        ),
    )


def as_json(explained: Sequence[Explained]) -> dict[str, Any]:
    """Return what ``--json`` prints; the keys are in docs/operations.md."""
    facts = explained[0].facts
    return {
        "source": facts["source"],
        "dataplane": facts["dataplane"],
        "log_only": facts["settings"]["log_only"],
        "services": [
            {
                "service": each.facts["service"],
                "packets": [_packet(packet) for packet in each.packets],
                "prefixes": _prefixes(each.facts),
                "shares": _shares(each.facts),
                "may": each.facts["may"],
            }
            for each in explained
        ],
    }


def as_text(explained: Sequence[Explained]) -> Iterator[str]:
    """Return the lines for people."""
    for each in explained:
        facts = each.facts
        yield from paragraph(f"from {word(facts['source'])} to {word(facts['service'])}:")
        for packet in each.packets:
            yield from paragraph(f"{_kind(packet)}: {'pass' if packet.passed else 'DROP'}", 2)
            for words in _why(packet, facts):
                yield from paragraph(words, 4)


def _packet(packet: Rehearsed) -> dict[str, Any]:
    session = packet.session
    return {
        "packet": packet.kind.value,
        "source_port": None if session is None else session.source_port,
        "destination": None if session is None else str(session.destination),
        "verdict": "pass" if packet.passed else "drop",
        "by": None if packet.by is None else packet.by.value,
        "reason": None if packet.reason is None else packet.reason.value,
    }


def _kind(packet: Rehearsed) -> str:
    session = packet.session
    if session is None:
        return _KINDS[packet.kind]
    state = "closing" if session.state is SessionState.CLOSING else "open"
    return f"the {state} connection from port {session.source_port} to {session.destination}"


def _why(packet: Rehearsed, facts: Facts) -> Iterator[str]:
    """Return the sentences that say why, the shortest answer first."""
    if packet.by is not None:
        yield _ADMISSIONS[packet.by]
    if packet.reason is not None:
        yield f"{packet.reason.value}: {REASONS[packet.reason]}"
    if packet.by is Admission.ALWAYS_ALLOWED:
        for prefix in _prefixes(facts):
            yield f"{word(prefix['prefix'])} ({word(prefix['origin'])})"
    elif packet.by is Admission.SESSION and packet.session is not None:
        yield _session(packet.session, facts)
    elif packet.by is not Admission.UNPROTECTED:
        yield from map(_share, _shares(facts))
    if packet.by in (None, Admission.LOG_ONLY):
        yield from _remedy(packet, facts)


def _remedy(packet: Rehearsed, facts: Facts) -> Iterator[str]:
    """Return what would let it in."""
    if packet.reason is Reason.GRANT_GRACE:
        yield "a new connection would be let in, and makes the grant live again"
    if packet.kind is PacketKind.ACK:
        return
    names = [word(name) for name in facts["may"]]
    if not names:
        yield "no client may open it from there"
        return
    others = " and perhaps others" if len(names) >= _NAMED else ""
    yield f"who could open it with a knock: {', '.join(names)}{others}"


def _session(session: Session, facts: Facts) -> str:
    opened = "adopted"
    if session.opened_ns:
        opened = f"opened {ago(max(0, facts['now_ns'] - session.opened_ns) // _NS_PER_S)}"
    owners = next(
        each["owners"]
        for each in facts["sessions"]
        if (each["service"], each["destination"], each["source_port"])
        == (str(session.service), str(session.destination), session.source_port)
    )
    return f"of {owners_words(owners)}, {opened}"


def _share(share: Authorized) -> str:
    """Return whose share it is, and until when."""
    who = "by hand" if share["client"] is None else f"to {word(share['client'])}"
    if share["state"] == "live":
        until = f"live, idle {ahead(share['idle_left_s'])}"
    else:
        until = f"in grace, over {ahead(share['grace_left_s'])}"
    end = "" if share["ends_in_s"] is None else f", ends {ahead(share['ends_in_s'])} in any case"
    return f"granted {who}: {until}{end}"


def _shares(facts: Facts) -> list[Authorized]:
    """Return the shares in the grant for the very service; the source may have others."""
    return [share for share in facts["shares"] if share["service"] == facts["service"]]


def _prefixes(facts: Facts) -> list[Any]:
    address = ip_address(facts["source"].partition("%")[0])
    return [each for each in facts["always_allow"] if address in ip_network(each["prefix"])]


def _service(text: str) -> Service:
    (service,) = parse_services(text)
    return service
