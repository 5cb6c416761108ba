# SPDX-License-Identifier: MIT
"""How many datagrams per second one core opens, and what a refusal costs; one datagram at a time."""

from __future__ import annotations

import statistics
import sys
import time
from ipaddress import ip_address
from typing import TYPE_CHECKING

from spale_core.model import Claim, Datagram, Reason, Source
from spale_crypto_hpke.authenticator import HpkeAuthenticator
from spale_crypto_hpke.requester import HpkeRequester
from spale_crypto_hpke.suite import KeyPair

if TYPE_CHECKING:
    from collections.abc import Sequence

CROWDS = (1, 100, 10_000)
"""Numbers of clients: a look-up is to cost the same among all of them."""

DATAGRAMS = 2000
SENDERS = 100
RUNS = 9
EPOCH = 59_666_667
UNIX_MS = EPOCH * 30_000
SOURCE = Source(ip_address("198.51.100.23"))


def main() -> int:
    """Print one line per crowd and kind of datagram: the median of `RUNS` over `DATAGRAMS` different ones."""
    for clients in CROWDS:
        sys.stdout.write(f"{clients:,} clients\n")
        authenticator, good = _meet(clients)
        kinds = {
            "opened": (good, None),
            "wrong mac": ([_without_mac(payload) for payload in good], Reason.BAD_MAC),
            "unknown tag": ([bytes(8) + payload[8:] for payload in good], Reason.UNKNOWN_TAG),
        }
        for name, (payloads, expected) in kinds.items():
            per_second = _measure(authenticator, payloads, expected)
            sys.stdout.write(f"  {name:12} {per_second:9,.0f} per second, {1e6 / per_second:6.1f} us each\n")
    return 0


def _meet(number: int) -> tuple[HpkeAuthenticator, list[bytes]]:
    """Return an authenticator that knows so many clients, and good datagrams of clients all over the list."""
    server, clients = KeyPair.generate(), [KeyPair.generate() for _ in range(number)]
    authenticator = HpkeAuthenticator([server], [client.public for client in clients])
    for epoch in range(EPOCH - 1, EPOCH + 2):
        authenticator.tags(epoch)
    senders = [HpkeRequester(server.public, client) for client in clients[:: max(1, number // SENDERS)]]
    good = [senders[turn % len(senders)].seal(unix_ms=UNIX_MS, source=SOURCE) for turn in range(DATAGRAMS)]
    return authenticator, good


def _without_mac(payload: bytes) -> bytes:
    return payload[:8] + bytes(8) + payload[16:]


def _measure(authenticator: HpkeAuthenticator, payloads: Sequence[bytes], expected: Reason | None) -> float:
    """Return how many per second; raise RuntimeError if one of them is judged otherwise than `expected`."""
    datagrams = [Datagram(payload, SOURCE, 40000, 1) for payload in payloads]
    speeds = []
    for _ in range(RUNS):
        start = time.process_time()
        verdicts = [authenticator.authenticate(datagram, ()) for datagram in datagrams]
        speeds.append(len(datagrams) / (time.process_time() - start))
        right = all(isinstance(each, Claim) if expected is None else each is expected for each in verdicts)
        if not right:
            raise RuntimeError(f"not every datagram was judged {expected}")
    return statistics.median(speeds)


if __name__ == "__main__":
    sys.exit(main())
