# SPDX-License-Identifier: MIT
"""Makes datagrams of version 1, for servers that know no other. No I/O but randomness."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from spale_core.errors import DataError
from spale_crypto_hpke import v1
from spale_crypto_hpke.suite import KeyPair, ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from spale_core.model import Service, Source

_STEPS = 1 << 32


def _random() -> bytes:
    return os.urandom(v1.RANDOM_LENGTH)


class V1Requester:
    """Seals datagrams of version 1 from one client to one server key."""

    def __init__(
        self,
        pk_r: bytes,
        client: KeyPair,
        ephemeral: Callable[[], KeyPair] = KeyPair.generate,
        random: Callable[[], bytes] = _random,
    ) -> None:
        """Compute what never changes; raise DataError if `pk_r` is a low-order point.

        `ephemeral` and `random` give what is fresh in each datagram; tests give the vectors'.
        """
        self._pk_r, self._client, self._ephemeral, self._random = pk_r, client, ephemeral, random
        try:
            self._static = client.dh(pk_r)
        except ValidationError as error:
            raise DataError(f"the server's key: {error}") from error

    def seal(
        self,
        *,
        unix_ms: int,
        source: Source | None = None,
        source_bits: int = 0,
        services: Sequence[Service] = (),
        idle_s: int = 0,
    ) -> bytes:
        """Return one fresh datagram, which is for all services, from wherever it is sent.

        Raise DataError for what version 1 cannot say: a source, services, an idle window.
        """
        _check_wish(bound=source is not None or source_bits != 0, listed=bool(services), idle_s=idle_s)
        step = v1.step_of(unix_ms)
        if not 0 <= step < _STEPS:
            raise DataError("the time cannot be said in a datagram of version 1")
        ephemeral, pk_s = self._ephemeral(), self._client.public
        context = v1.Context.of_sender(ephemeral, self._pk_r, pk_s, self._static)
        return pk_s + ephemeral.public + context.seal(v1.encode(step, self._random()))


def _check_wish(*, bound: bool, listed: bool, idle_s: int) -> None:
    """Raise DataError: what a client asks for must not be lost on the way."""
    unsayable = {"the source it opens for": bound, "services": listed, "an idle time": idle_s != 0}
    said = [words for words, is_wanted in unsayable.items() if is_wanted]
    if said:
        raise DataError(f"a datagram of version 1 cannot name {', '.join(said)}; version 2 can")
