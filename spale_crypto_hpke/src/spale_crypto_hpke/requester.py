# SPDX-License-Identifier: MIT
"""Makes datagrams. No I/O but the operating system's randomness; the client's private key lives here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spale_core.errors import DataError
from spale_crypto_hpke import wire
from spale_crypto_hpke.suite import Context, KeyPair, ValidationError, auth_encap

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from spale_core.model import Service, Source


class HpkeRequester:
    """Seals datagrams of version 2 from one client to one server key."""

    def __init__(
        self, pk_r: bytes, client: KeyPair, ephemeral: Callable[[], KeyPair] = KeyPair.generate
    ) -> None:
        """Compute what never changes; raise DataError if `pk_r` is a low-order point.

        `ephemeral` gives the key pair of each datagram, a fresh one each time; tests give the vectors'.
        """
        self._pk_r, self._client, self._ephemeral = pk_r, client, ephemeral
        try:
            self._static = client.dh(pk_r)
        except ValidationError as error:
            raise DataError(f"the server's key: {error}") from error
        self._tag_key = wire.derive_tag_key(self._static, pk_r, client.public)

    def seal(
        self,
        *,
        unix_ms: int,
        source: Source | None = None,
        source_bits: int = 0,
        services: Sequence[Service] = (),
        idle_s: int = 0,
    ) -> bytes:
        """Return one fresh datagram; bound to `source` unless that is None.

        Raise DataError for what no server would accept, such as nine services.
        """
        plaintext = wire.encode(wire.Plaintext(unix_ms, source, source_bits, tuple(services), idle_s))
        tag, mac_key = wire.derive_tag(self._tag_key, wire.epoch_of(unix_ms))
        ephemeral = self._ephemeral()
        shared = auth_encap(ephemeral, self._pk_r, self._client.public, self._static)
        ct = Context(shared, wire.INFO).seal(tag, plaintext)
        return wire.assemble(tag, mac_key, ephemeral.public, ct)
