# SPDX-License-Identifier: MIT
"""Tells which client made a datagram of version 1, the cheap checks first. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from spale_core.errors import DataError
from spale_core.model import Claim, Reason, Tag
from spale_crypto_hpke import v1
from spale_crypto_hpke.keys import agree, check_clients, check_server_keys
from spale_crypto_hpke.suite import HpkeError, KeyPair

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from spale_core.model import Datagram


@frozen
class _Peer:
    """A client at one of our keys, with the half of the key agreement that never changes."""

    client: int
    server_key: int
    recipient: KeyPair
    static: bytes = field(repr=False)


class V1Authenticator:
    """Authenticates datagrams of version 1. Nothing in front of the key agreement tells them from junk."""

    length = v1.LENGTH

    def __init__(self, server_keys: Sequence[KeyPair], clients: Sequence[bytes]) -> None:
        """Compute what never changes, one X25519 for each pair; raise DataError, saying which key is bad."""
        check_server_keys(server_keys)
        check_clients(clients, server_keys)
        self._peers = {
            pk_s: [
                _Peer(client, server_key, recipient, _agree(recipient, pk_s, client))
                for server_key, recipient in enumerate(server_keys)
            ]
            for client, pk_s in enumerate(clients)
        }

    def tags(self, epoch: int) -> list[Tag]:
        """Return the tags in `epoch`: they are always the same, and without a mac."""
        return [
            Tag(peer.client, peer.server_key, epoch, pk_s[: v1.TAG_LENGTH], b"")
            for pk_s, peers in self._peers.items()
            for peer in peers
        ]

    def authenticate(self, datagram: Datagram, seen: Container[bytes]) -> Claim | Reason:
        """Open `datagram`; `seen` holds the values of `enc` already known. Order: docs/wire-format.md."""
        payload = datagram.payload
        if len(payload) != v1.LENGTH:
            return Reason.SPA_LENGTH
        peers = self._peers.get(payload[v1.SENDER])
        if peers is None:
            return Reason.UNKNOWN_TAG
        if payload[v1.ENC] in seen:
            return Reason.REPLAY
        for peer in peers:
            raw = _open(peer, payload)
            if raw is not None:
                return _claim(peer, raw, datagram)
        return Reason.NOT_OPENED


def _agree(recipient: KeyPair, pk_s: bytes, client: int) -> bytes:
    try:
        return agree(recipient, pk_s)
    except DataError as error:
        raise DataError(f"client key {client + 1}: {error}") from error


def _open(peer: _Peer, payload: bytes) -> bytes | None:
    """Return what `peer` has sealed, if it made `payload` for this key of ours."""
    try:
        context = v1.Context.of_recipient(payload[v1.ENC], peer.recipient, payload[v1.SENDER], peer.static)
        return context.open(payload[v1.CT])
    except HpkeError:
        return None


def _claim(peer: _Peer, raw: bytes, datagram: Datagram) -> Claim | Reason:
    """Return what `raw` asks for: all that the client may have, for where it came from."""
    step = v1.decode(raw)
    if step is None:
        return Reason.MALFORMED
    return Claim(
        client=peer.client,
        enc=datagram.payload[v1.ENC],
        unix_ms=v1.end_unix_ms(step),
        source=datagram.source,
        bound=False,
        services=frozenset(),
        idle_s=0,
    )
