# SPDX-License-Identifier: MIT
"""The model's values as the bytes of the kernel's maps, and back; layouts and numbers are `_abi`'s."""

from __future__ import annotations

import functools
import struct
from ipaddress import IPv4Network, IPv6Address
from typing import TYPE_CHECKING

from spale_bpf import _abi
from spale_core.model import (
    NEVER_NS,
    Bucket,
    Counter,
    Grant,
    Protocol,
    Reason,
    Service,
    Session,
    SessionState,
    Source,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from spale_core.interfaces import DataplaneSettings
    from spale_core.model import Address, Connection, KernelTag, Network

ALLOWED = b"\x01"
"""The value of a prefix in the trie; only that it is there counts."""

_INDEX = struct.Struct("=I")
_TIME = struct.Struct("=Q")
_WORD = struct.Struct("=Q")
_STATES = {int(number): SessionState[number.name] for number in _abi.SessionState}
_CLOSING = int(_abi.SessionState.CLOSING)
_OPEN = int(_abi.SessionState.OPEN)
_SERVICES = {Protocol.TCP: _abi.Service.TCP, Protocol.UDP: _abi.Service.UDP}

_SCOPE = slice(4, 8)
"""Where a link-local address, whose bytes 2 to 7 are zero on the wire, carries its interface's index."""

_REMEMBERED = 1 << 14
"""How many decoded keys are kept: a sweep meets the same ones every few seconds."""

_MAPPED_BITS = 96
_SECOND_NS = 1_000_000_000


def index(number: int) -> bytes:
    """Return the key of an array map, or a value that is a plain number."""
    return _INDEX.pack(number)


def address(source: Source) -> bytes:
    """Return `struct spale_addr`: 16 bytes, an IPv4 address as ::ffff:a.b.c.d."""
    packed = source.packed
    if not source.ifindex:
        return packed
    return packed[: _SCOPE.start] + source.ifindex.to_bytes(4, "big") + packed[_SCOPE.stop :]


def source_of(packed: bytes) -> Source:
    """Return the source that a `struct spale_addr` stands for."""
    if not IPv6Address(packed).is_link_local:
        return Source.unpack(packed)
    plain = packed[: _SCOPE.start] + bytes(4) + packed[_SCOPE.stop :]
    return Source.unpack(plain, int.from_bytes(packed[_SCOPE], "big"))


def settings(given: DataplaneSettings, *, always_allow: bool) -> bytes:
    """Return `struct spale_settings`; `always_allow` is whether there is any prefix."""
    flags = _abi.Flag(0)
    if given.log_only:
        flags |= _abi.Flag.LOG_ONLY
    if always_allow:
        flags |= _abi.Flag.ALWAYS_ALLOW
    if given.max_v1_tags:
        flags |= _abi.Flag.V1
    cost_ns = _SECOND_NS // given.rate if given.rate else 0
    session_ns = given.session_s * _SECOND_NS
    return _abi.SETTINGS.pack(_abi.ABI_VERSION, flags, cost_ns, given.burst * cost_ns, session_ns)


def service_bits(services: Iterable[Service], spa_port: int) -> dict[int, int]:
    """Return the non-zero values of the services map by port."""
    bits = {spa_port: int(_abi.Service.SPA)}
    for service in services:
        bits[service.port] = bits.get(service.port, 0) | _SERVICES[service.protocol]
    return bits


@functools.lru_cache(maxsize=_REMEMBERED)
def grant_key(source: Source, service: Service) -> bytes:
    """Return `struct spale_grant_key`."""
    return _abi.GRANT_KEY.pack(address(source), service.protocol, service.port)


@functools.lru_cache(maxsize=_REMEMBERED)
def pair(key: bytes) -> tuple[Source, Service]:
    """Return the source and service that a `struct spale_grant_key` stands for."""
    packed = _abi.GrantKey(*_abi.GRANT_KEY.unpack(key))
    return source_of(packed.source), Service(Protocol(packed.protocol), packed.port)


def grant_value(grant: Grant) -> bytes:
    """Return `struct spale_grant`; the model's NEVER_NS is the kernel's SPALE_NEVER."""
    return _abi.GRANT.pack(grant.last_ns, grant.idle_ns, grant.grace_ns, grant.end_ns)


def grant(key: bytes, value: bytes) -> Grant:
    """Return the grant that a key and a value of the grants map stand for."""
    return Grant(*pair(key), *_abi.GRANT.unpack(value))


def session_key(connection: Connection) -> bytes:
    """Return `struct spale_session_key`; the destination is the packet's, without an interface."""
    peer = grant_key(connection.source, connection.service)
    return _abi.SESSION_KEY.pack(peer, _packed(connection.destination), connection.source_port)


def session_value(session: Session) -> bytes:
    """Return `struct spale_session`."""
    return _abi.SESSION.pack(session.opened_ns, session.last_ns, _state(session))


def opened_ns(value: bytes) -> int:
    """Return when the session of this value was opened or restarted."""
    return _abi.Session(*_abi.SESSION.unpack(value)).opened_ns


def is_same_session(value: bytes, session: Session) -> bool:
    """Tell whether `value` differs from that of `session` in nothing but the last packet."""
    found = _abi.Session(*_abi.SESSION.unpack(value))
    return (found.opened_ns, found.state) == (session.opened_ns, _state(session))


def session(key: bytes, value: bytes) -> Session:
    """Return the session that a key and a value of the sessions map stand for."""
    peer, destination, source_port = _abi.SESSION_KEY.unpack(key)
    source, service = pair(peer)
    opened_ns, last_ns, state = _abi.SESSION.unpack(value)
    return Session(source, service, _address(destination), source_port, opened_ns, last_ns, _STATES[state])


def _state(session: Session) -> int:
    # Not by a dictionary: an enum's hash is computed in Python, thousands of times in a sweep.
    return _CLOSING if session.state is SessionState.CLOSING else _OPEN


@functools.lru_cache(maxsize=_REMEMBERED)
def _packed(address: Address) -> bytes:
    return Source(address).packed


@functools.lru_cache(maxsize=_REMEMBERED)
def _address(packed: bytes) -> Address:
    return Source.unpack(packed).address


def allow_key(prefix: Network) -> bytes:
    """Return `struct spale_allow_key`: the family, so that ::/0 is not IPv4, then the address."""
    bits = _abi.ALLOW_FAMILY_BITS + prefix.prefixlen
    if isinstance(prefix, IPv4Network):
        return _abi.ALLOW_KEY.pack(bits + _MAPPED_BITS, 4, Source(prefix.network_address).packed)
    return _abi.ALLOW_KEY.pack(bits, 6, prefix.network_address.packed)


def tag_value(tag: KernelTag) -> bytes:
    """Return `struct spale_tag`; SipHash reads its keys least significant byte first (wire.md)."""
    k0, k1 = struct.unpack("<QQ", tag.mac_key)
    return _abi.TAG.pack(k0, k1, tag.not_before_ns, min(tag.not_after_ns, NEVER_NS))


def v1_tag_value(tag: KernelTag) -> bytes:
    """Return `struct spale_v1_tag`: there is no mac."""
    return _abi.V1_TAG.pack(tag.not_before_ns, min(tag.not_after_ns, NEVER_NS))


def filter_words(words: Mapping[int, int]) -> dict[bytes, bytes]:
    """Return elements of the filter of tags: an index, and 64 bits."""
    return dict(zip(map(_INDEX.pack, words), map(_WORD.pack, words.values()), strict=True))


def bucket(key: bytes, value: bytes) -> Bucket:
    """Return whose bucket it is, and when it will be full again."""
    return Bucket(source_of(key), _TIME.unpack(value)[0])


def v1_bucket(key: bytes, value: bytes) -> Bucket:
    """Return the same of a `struct spale_v1_bucket_key`; a source may have several, each for another tag."""
    return bucket(_abi.V1BucketKey(*_abi.V1_BUCKET_KEY.unpack(key)).source, value)


def counted() -> dict[int, Reason]:
    """Return the model's reasons, those that are counted, by their index in the counters map."""
    first = _abi.REASON_FIRST_COUNTED
    return {reason: Reason[reason.name] for reason in _abi.Reason if reason >= first}


def counter(value: bytes) -> Counter:
    """Return one CPU's `struct spale_counter`; an address of zeros means that none could be read."""
    count, packed = _abi.COUNTER.unpack(value)
    return Counter(count, source_of(packed) if any(packed) else None)
