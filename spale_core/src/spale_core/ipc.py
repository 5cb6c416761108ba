# SPDX-License-Identifier: MIT
"""The messages that the listener may send to the monitor: a closed table, fixed sizes, nothing else.

The listener reads what strangers send and may be taken over. So each message is one SOCK_SEQPACKET record,
one byte of type and a struct of that type's size; the monitor ends a listener that sends anything that this
module does not decode. Integers are in host order: both ends are one program on one machine.
"""

from __future__ import annotations

import enum
from struct import Struct
from typing import TYPE_CHECKING

from attrs import frozen

from spale_core.model import Claim, Reason, Refused, Service, Source, Tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class _Kind(enum.IntEnum):
    READY = 1
    ALIVE = 2
    TAGS = 3
    CLAIM = 4
    REFUSED = 5


TAGS_PER_BATCH = 64
SERVICES_PER_CLAIM = 8
ENC_LENGTH = 32
TAG_LENGTH = 8
MAC_KEY_LENGTH = 16

_SOURCE = Struct("=16sI")
_SERVICE = Struct("=BH")
_TAG = Struct(f"=IH{TAG_LENGTH}sB{MAC_KEY_LENGTH}s")

_EMPTY_MESSAGE = Struct("=B")
_TAGS_MESSAGE = Struct(f"=BQBB{TAGS_PER_BATCH * _TAG.size}s")
_CLAIM_MESSAGE = Struct(f"=BI{ENC_LENGTH}sQ{_SOURCE.size}sIBHB{SERVICES_PER_CLAIM * _SERVICE.size}s")
_REFUSED_MESSAGE = Struct(f"=BB{_SOURCE.size}sBIIB{_SOURCE.size}s")

_LAYOUTS: dict[int, Struct] = {
    _Kind.READY: _EMPTY_MESSAGE,
    _Kind.ALIVE: _EMPTY_MESSAGE,
    _Kind.TAGS: _TAGS_MESSAGE,
    _Kind.CLAIM: _CLAIM_MESSAGE,
    _Kind.REFUSED: _REFUSED_MESSAGE,
}

MAX_LENGTH = max(layout.size for layout in _LAYOUTS.values())
"""Bytes of the longest message."""

LISTENER_REASONS = (
    Reason.SPA_LENGTH,
    Reason.UNKNOWN_TAG,
    Reason.STALE_TAG,
    Reason.BAD_MAC,
    Reason.REPLAY,
    Reason.INTERNAL,
    Reason.INTERFACE,
    Reason.NOT_OPENED,
    Reason.MALFORMED,
    Reason.SOURCE_MISMATCH,
    Reason.UNBOUND,
    Reason.OVERLOAD,
)
"""Why a listener may say that it refused something."""

_CODES = {reason: code for code, reason in enumerate(LISTENER_REASONS)}


class IpcError(Exception):
    """The listener sent what no listener of ours sends, or has ended: it must go, and the monitor goes on."""


@frozen
class Ready:
    """The listener has dropped its privileges, has sent the first tags, and reads the network."""


@frozen
class Alive:
    """The listener's loop turns."""


@frozen
class TagBatch:
    """Some of the tags of `epoch`; `last` closes the epoch. Batches of two epochs are never mixed."""

    epoch: int
    tags: tuple[Tag, ...]
    last: bool


Message = Ready | Alive | TagBatch | Claim | Refused


def batches(epoch: int, tags: Iterable[Tag]) -> Iterator[TagBatch]:
    """Yield `tags`, all of `epoch`, in batches of `TAGS_PER_BATCH`; the last is marked, and may be empty."""
    batch: list[Tag] = []
    for tag in tags:
        if len(batch) == TAGS_PER_BATCH:
            yield TagBatch(epoch, tuple(batch), last=False)
            batch = []
        batch.append(tag)
    yield TagBatch(epoch, tuple(batch), last=True)


def encode(message: Message) -> bytes:
    """Return the record for `message`."""
    match message:
        case Ready():
            return _EMPTY_MESSAGE.pack(_Kind.READY)
        case Alive():
            return _EMPTY_MESSAGE.pack(_Kind.ALIVE)
        case TagBatch():
            return _encode_tags(message)
        case Claim():
            return _encode_claim(message)
        case Refused():
            return _encode_refused(message)


def decode(record: bytes) -> Message:
    """Return the message in `record`; raise IpcError unless it is one, to the last byte."""
    layout = _LAYOUTS.get(record[0]) if record else None
    if layout is None:
        raise IpcError("a message of no known type")
    if len(record) != layout.size:
        raise IpcError(f"a message of type {record[0]} with {len(record)} bytes instead of {layout.size}")
    try:
        return _decode(record)
    except ValueError as error:
        raise IpcError(f"a message of type {record[0]} that is malformed: {error}") from error


def _decode(record: bytes) -> Message:
    match _Kind(record[0]):
        case _Kind.READY:
            return Ready()
        case _Kind.ALIVE:
            return Alive()
        case _Kind.TAGS:
            return _decode_tags(record)
        case _Kind.CLAIM:
            return _decode_claim(record)
        case _Kind.REFUSED:
            return _decode_refused(record)


def _encode_tags(batch: TagBatch) -> bytes:
    body = b"".join(_TAG.pack(t.client, t.server_key, t.tag, bool(t.mac_key), t.mac_key) for t in batch.tags)
    return _TAGS_MESSAGE.pack(_Kind.TAGS, batch.epoch, batch.last, len(batch.tags), body)


def _decode_tags(record: bytes) -> TagBatch:
    _, epoch, last, count, body = _TAGS_MESSAGE.unpack(record)
    used = count * _TAG.size
    _want(count <= TAGS_PER_BATCH and not any(body[used:]), "unused bytes or too many tags")
    tags = tuple(
        Tag(client, server_key, epoch, tag, _unpack_mac_key(has_mac, mac_key))
        for client, server_key, tag, has_mac, mac_key in _TAG.iter_unpack(body[:used])
    )
    return TagBatch(epoch, tags, last=_flag(last))


def _unpack_mac_key(has_mac: int, mac_key: bytes) -> bytes:
    if _flag(has_mac):
        return mac_key
    _want(not any(mac_key), "a mac key of a tag without a mac")
    return b""


def _encode_claim(claim: Claim) -> bytes:
    services = b"".join(_SERVICE.pack(s.protocol, s.port) for s in sorted(claim.services))
    return _CLAIM_MESSAGE.pack(
        _Kind.CLAIM,
        claim.client,
        claim.enc,
        claim.unix_ms,
        _pack_source(claim.source),
        claim.ifindex,
        claim.bound,
        claim.idle_s,
        len(claim.services),
        services,
    )


def _decode_claim(record: bytes) -> Claim:
    _, client, enc, unix_ms, source, ifindex, bound, idle_s, count, body = _CLAIM_MESSAGE.unpack(record)
    used = count * _SERVICE.size
    _want(count <= SERVICES_PER_CLAIM and not any(body[used:]), "unused bytes or too many services")
    services = frozenset(Service(protocol, port) for protocol, port in _SERVICE.iter_unpack(body[:used]))
    _want(len(services) == count, "a service twice")
    return Claim(
        client=client,
        enc=enc,
        unix_ms=unix_ms,
        source=_unpack_source(source),
        bound=_flag(bound),
        services=services,
        idle_s=idle_s,
        ifindex=ifindex,
    )


def _encode_refused(refused: Refused) -> bytes:
    first = refused.first_source
    return _REFUSED_MESSAGE.pack(
        _Kind.REFUSED,
        _CODES[refused.reason],
        _pack_source(refused.source),
        refused.client is not None,
        refused.client or 0,
        refused.count,
        first is not None,
        _pack_source(first) if first else bytes(_SOURCE.size),
    )


def _decode_refused(record: bytes) -> Refused:
    _, code, source, has_client, client, count, has_first, first = _REFUSED_MESSAGE.unpack(record)
    _want(code < len(LISTENER_REASONS), "a reason that a listener does not have")
    _want(count > 0, "a count of none")
    _want(_flag(has_client) or client == 0, "a client that is none")
    _want(_flag(has_first) or not any(first), "a first source that is none")
    return Refused(
        reason=LISTENER_REASONS[code],
        source=_unpack_source(source),
        client=client if has_client else None,
        count=count,
        first_source=_unpack_source(first) if has_first else None,
    )


def _pack_source(source: Source) -> bytes:
    return _SOURCE.pack(source.packed, source.ifindex)


def _unpack_source(packed: bytes) -> Source:
    address, ifindex = _SOURCE.unpack(packed)
    source = Source.unpack(address, ifindex)
    _want(source == Source.arrived(source.address, ifindex), "an interface with an address that needs none")
    return source


def _flag(byte: int) -> bool:
    _want(byte <= 1, "a flag that is neither 0 nor 1")
    return byte == 1


def _want(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - the condition is the whole point
    if not holds:
        raise ValueError(otherwise)
