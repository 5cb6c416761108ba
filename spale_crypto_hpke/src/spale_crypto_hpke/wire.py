# SPDX-License-Identifier: MIT
"""Version 2 of the datagram: its layout, its plaintext, its tags and macs. docs/wire-format.md is the page.

Only bytes and values; nothing here knows a private key. Integers are big-endian.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

from attrs import frozen

from spale_core.errors import DataError
from spale_core.model import EPOCH_S, Service, Source
from spale_core.siphash import siphash24
from spale_crypto_hpke.suite import hkdf_expand, hmac_sha256

LENGTH = 128
"""Length in bytes of every datagram."""

INFO = b"spale/2"
"""HPKE's `info`; its `aad` is the tag."""

TAG = slice(0, 8)
MAC = slice(8, 16)
MACED = slice(16, LENGTH)
ENC = slice(16, 48)
CT = slice(48, LENGTH)

MAX_SERVICES = 8
"""How many services a datagram can list."""

_VERSION = 2
_BOUND = 1
_LISTED = 2
_FORM = struct.Struct(">BBHQ16sB24sB10x")
_SERVICE = struct.Struct(">BH")
_ADDRESS_BITS = 128
_LEAST_BITS_IPV4 = 104
_LEAST_BITS_IPV6 = 32


@frozen
class Plaintext:
    """What a client says under seal.

    `source` is None unless bound; `source_bits` 0 stands for the whole address, else it counts leading bits
    of the 128; `services` empty asks for all that the client may have; `idle_s` 0 for the server's own.
    """

    unix_ms: int
    source: Source | None = None
    source_bits: int = 0
    services: tuple[Service, ...] = ()
    idle_s: int = 0


def encode(plaintext: Plaintext) -> bytes:
    """Return the 64 bytes that are sealed; raise DataError for what a server would refuse."""
    mistake = _mistake(plaintext)
    if mistake is not None:
        raise DataError(mistake)
    return _pack(plaintext)


def decode(raw: bytes) -> Plaintext | None:
    """Return what 64 bytes from a client say, or None if wire.md refuses them."""
    version, flags, idle_s, unix_ms, address, count, listed, source_bits = _FORM.unpack(raw)
    if version != _VERSION or count > MAX_SERVICES:
        return None
    try:
        services = tuple(_service(listed, index) for index in range(count))
    except ValueError:  # a port 0, a protocol other than TCP and UDP
        return None
    source = Source.unpack(address) if flags & _BOUND else None
    plaintext = Plaintext(unix_ms, source, source_bits, services, idle_s)
    # One form for one meaning: what does not encode back to the same bytes has an unknown flag, a flag that
    # contradicts its field, or a byte that had to be zero.
    if _mistake(plaintext) is not None or _pack(plaintext) != raw:
        return None
    return plaintext


def source_matches(plaintext: Plaintext, source: Source) -> bool:
    """Return whether a datagram that came from `source` may say `plaintext`: unbound, or bound to that.

    The families must be the same: no IPv6 prefix stands for the mapped form of IPv4 addresses.
    """
    bound = plaintext.source
    if bound is None:
        return True
    if bound.address.version != source.address.version:
        return False
    shift = _ADDRESS_BITS - (plaintext.source_bits or _ADDRESS_BITS)
    return int.from_bytes(bound.packed, "big") >> shift == int.from_bytes(source.packed, "big") >> shift


def epoch_of(unix_ms: int) -> int:
    """Return the epoch in which a time in milliseconds since 1970 lies."""
    return unix_ms // (EPOCH_S * 1000)


def derive_tag_key(static: bytes, pk_r: bytes, pk_s: bytes) -> bytes:
    """Return the 32 bytes from which a client and a server key derive their tags.

    `static` is DH(sk_s, pk_r), the same from either half.
    """
    return hkdf_expand(hmac_sha256(b"spale/2 tag", static), pk_r + pk_s, 32)


def derive_tag(tag_key: bytes, epoch: int) -> tuple[bytes, bytes]:
    """Return the tag (8 bytes) and the mac key (16 bytes) of an epoch."""
    out = hmac_sha256(tag_key, epoch.to_bytes(8, "big"))
    return out[:8], out[8:24]


def assemble(tag: bytes, mac_key: bytes, enc: bytes, ct: bytes) -> bytes:
    """Return the datagram."""
    return tag + siphash24(mac_key, enc + ct) + enc + ct


def _service(listed: bytes, index: int) -> Service:
    protocol, port = _SERVICE.unpack_from(listed, index * _SERVICE.size)
    return Service(protocol, port)


def _pack(plaintext: Plaintext) -> bytes:
    source, services = plaintext.source, plaintext.services
    listed = b"".join(_SERVICE.pack(service.protocol, service.port) for service in services)
    return _FORM.pack(
        _VERSION,
        (_BOUND if source is not None else 0) | (_LISTED if services else 0),
        plaintext.idle_s,
        plaintext.unix_ms,
        bytes(16) if source is None else source.packed,
        len(services),
        listed,
        plaintext.source_bits,
    )


def _mistake(plaintext: Plaintext) -> str | None:
    """Return in words which of the refusals concerns the values, or None."""
    if not 0 <= plaintext.idle_s < 1 << 16:
        return f"an idle time of {plaintext.idle_s} s cannot be said in a datagram; 0 to 65535 can"
    if not 0 <= plaintext.unix_ms < 1 << 64:
        return "the time cannot be said in a datagram"
    if len(plaintext.services) > MAX_SERVICES:
        return f"{len(plaintext.services)} services; a datagram lists at most {MAX_SERVICES}"
    if len(set(plaintext.services)) != len(plaintext.services):
        return "the same service is listed twice"
    if plaintext.source is None:
        return "a prefix length without an address" if plaintext.source_bits else None
    return _source_mistake(plaintext.source, plaintext.source_bits)


def _source_mistake(source: Source, bits: int) -> str | None:
    address = source.address
    if address.is_multicast or address.is_loopback or address.is_unspecified:
        return f"{address} cannot be the source of a knock"
    if not bits:
        return None
    least = _LEAST_BITS_IPV4 if isinstance(address, IPv4Address) else _LEAST_BITS_IPV6
    if not least <= bits < _ADDRESS_BITS:
        offset = _ADDRESS_BITS - address.max_prefixlen
        return f"a prefix of IPv{address.version} has {least - offset} to {address.max_prefixlen - 1} bits"
    if int.from_bytes(source.packed, "big") & ((1 << _ADDRESS_BITS - bits) - 1):
        return f"{address} has bits behind the prefix; they must be zero"
    return None
