# SPDX-License-Identifier: MIT
"""Tells which client made a datagram, the cheap checks first. No I/O; the server's private keys live here."""

from __future__ import annotations

import hmac
from collections import OrderedDict
from typing import TYPE_CHECKING

from attrs import field, frozen

from spale_core.errors import DataError
from spale_core.model import Claim, Reason, Tag
from spale_core.siphash import siphash24
from spale_crypto_hpke import wire
from spale_crypto_hpke.keys import agree, check_clients, check_server_keys
from spale_crypto_hpke.suite import Context, HpkeError, KeyPair, auth_decap

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from spale_core.model import Datagram

KEPT_EPOCHS = 12
"""How many epochs are recognised at once: now with 120 s of skew either way, the next, and some to spare."""


@frozen
class _Peer:
    """A client at one of our keys, with the half of the key agreement that never changes."""

    client: int
    server_key: int
    recipient: KeyPair
    pk_s: bytes
    static: bytes = field(repr=False)
    tag_key: bytes = field(repr=False)

    @classmethod
    def make(cls, client: int, pk_s: bytes, server_key: int, recipient: KeyPair) -> _Peer:
        """Compute the halves; raise DataError if `pk_s`, of a form that was checked, is a low-order point."""
        try:
            static = agree(recipient, pk_s)
        except DataError as error:
            raise DataError(f"client key {client + 1}: {error}") from error
        tag_key = wire.derive_tag_key(static, recipient.public, pk_s)
        return cls(client, server_key, recipient, pk_s, static, tag_key)

    def tag(self, epoch: int) -> Tag:
        """Return our tag of an epoch."""
        tag, mac_key = wire.derive_tag(self.tag_key, epoch)
        return Tag(self.client, self.server_key, epoch, tag, mac_key)

    def open(self, payload: bytes) -> wire.Plaintext | Reason:
        """Return what the client says, if it made `payload`."""
        try:
            shared = auth_decap(payload[wire.ENC], self.recipient, self.pk_s, self.static)
            raw = Context(shared, wire.INFO).open(payload[wire.TAG], payload[wire.CT])
        except HpkeError:
            return Reason.NOT_OPENED
        return wire.decode(raw) or Reason.MALFORMED


_Candidate = tuple[Tag, _Peer]


class HpkeAuthenticator:
    """Authenticates datagrams of version 2 for every pair of a server key and a client key.

    It recognises the tags of the `KEPT_EPOCHS` epochs that `tags` was asked for most recently; a clock that
    was stepped pushes the old ones out as the new ones are asked for.
    """

    length = wire.LENGTH

    def __init__(self, server_keys: Sequence[KeyPair], clients: Sequence[bytes]) -> None:
        """Compute what never changes, one X25519 for each pair; raise DataError, saying which key is bad."""
        check_server_keys(server_keys)
        check_clients(clients, server_keys)
        self._peers = [
            _Peer.make(client, pk_s, server_key, recipient)
            for client, pk_s in enumerate(clients)
            for server_key, recipient in enumerate(server_keys)
        ]
        self._epochs: OrderedDict[int, dict[bytes, list[_Candidate]]] = OrderedDict()

    def tags(self, epoch: int) -> list[Tag]:
        """Return the tags of every client and server key in `epoch`, and recognise them from now on."""
        if epoch not in self._epochs:
            self._epochs[epoch] = self._table(epoch)
            if len(self._epochs) > KEPT_EPOCHS:
                self._epochs.popitem(last=False)
        self._epochs.move_to_end(epoch)
        return [tag for candidates in self._epochs[epoch].values() for tag, _ in candidates]

    def authenticate(self, datagram: Datagram, seen: Container[bytes]) -> Claim | Reason:
        """Open `datagram`; `seen` holds the values of `enc` already known. Order: docs/wire-format.md."""
        payload = datagram.payload
        if len(payload) != wire.LENGTH:
            return Reason.SPA_LENGTH
        candidates = self._candidates(payload[wire.TAG])
        if not candidates:
            return Reason.UNKNOWN_TAG
        if payload[wire.ENC] in seen:
            return Reason.REPLAY
        verdict: Claim | Reason = Reason.BAD_MAC
        for tag, peer in candidates:
            # The kernel has judged the mac already, but lets everything through while it only observes.
            if hmac.compare_digest(siphash24(tag.mac_key, payload[wire.MACED]), payload[wire.MAC]):
                verdict = _claim(tag, peer, datagram)
                if isinstance(verdict, Claim):
                    break
        return verdict

    def _candidates(self, tag: bytes) -> list[_Candidate]:
        """Return who may have made a datagram with this tag: nearly always nobody or one."""
        return [found for table in self._epochs.values() for found in table.get(tag, ())]

    def _table(self, epoch: int) -> dict[bytes, list[_Candidate]]:
        table: dict[bytes, list[_Candidate]] = {}
        for peer in self._peers:
            tag = peer.tag(epoch)
            table.setdefault(tag.tag, []).append((tag, peer))
        return table


def _claim(tag: Tag, peer: _Peer, datagram: Datagram) -> Claim | Reason:
    """Return what `datagram` asks for, if `peer` made it in the epoch of `tag` for where it came from."""
    said = peer.open(datagram.payload)
    if isinstance(said, Reason):
        return said
    if wire.epoch_of(said.unix_ms) != tag.epoch:
        return Reason.MALFORMED
    if not wire.source_matches(said, datagram.source):
        return Reason.SOURCE_MISMATCH
    return Claim(
        client=peer.client,
        enc=datagram.payload[wire.ENC],
        unix_ms=said.unix_ms,
        source=datagram.source,
        bound=said.source is not None,
        services=frozenset(said.services),
        idle_s=said.idle_s,
    )
