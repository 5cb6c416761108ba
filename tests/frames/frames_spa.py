# SPDX-License-Identifier: MIT
"""Datagrams to the SPA port that a client made, in packets that no client sends (spec.md, "SPA port")."""

from __future__ import annotations

from typing import TYPE_CHECKING

import frames_ipv4
import frames_ipv6
import knock
import packets as p
from frame_table import EVERYWHERE, IGNORED, KNOCKED_AT, NOWHERE, TAKEN, Row, chained, framed
from lane import MAPPED
from packets import DSTOPTS, UDP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from frame_table import Build
    from ways import Way

CUTS = ((8,), (16,), (64,), (128,), (64, 128))


def payload(way: Way) -> bytes:
    """Return a datagram with the known tag and a mac of its own."""
    return knock.knock(body=way.token.ljust(112, b"\x5a"))


def datagram(way: Way, content: bytes) -> bytes:
    """Return it, or something like it, behind a UDP header."""
    return p.udp(way.port, content, (way.source, way.destination))


def _row(name: str, family: int, build: Build, **more: object) -> Row:
    return Row(name, family, UDP, build, ports=KNOCKED_AT, **more)  # type: ignore[arg-type] # passed through


def ipv4_rows() -> Iterator[Row]:
    """Return options and fragments."""
    for name, (options, fate) in frames_ipv4.OPTIONS.items():
        yield _row(
            f"spa-{name}",
            4,
            lambda way, o=options: [framed(way, datagram(way, payload(way)), options=o)],
            fate=fate,
        )
    for cuts in CUTS:

        def build(way: Way, cuts: tuple[int, ...] = cuts) -> list[bytes]:
            return frames_ipv4.cut_up(way, datagram(way, payload(way)), *cuts)

        yield _row(f"spa-cut-{cuts}", 4, build)
        yield _row(f"spa-cut-{cuts}-backwards", 4, lambda way, b=build: b(way)[::-1])


def ipv6_rows() -> Iterator[Row]:
    """Return headers and fragments."""
    chains = {**frames_ipv6.GOOD_CHAINS, **frames_ipv6.LONG_CHAINS}
    for name, kinds in chains.items():
        unread = EVERYWHERE if name in frames_ipv6.LONG_CHAINS else NOWHERE
        yield _row(
            f"spa-{name}",
            6,
            lambda way, k=kinds: [chained(way, datagram(way, payload(way)), *k)],
            unread=unread,
        )
    for cuts in CUTS:
        for name, before in (("", ()), ("dst-", (DSTOPTS,))):

            def build(
                way: Way, cuts: tuple[int, ...] = cuts, before: tuple[int, ...] = before
            ) -> list[bytes]:
                return frames_ipv6.cut_up(way, datagram(way, payload(way)), UDP, *cuts, before=before)

            yield _row(f"spa-{name}cut-{cuts}", 6, build)
            yield _row(f"spa-{name}cut-{cuts}-backwards", 6, lambda way, b=build: b(way)[::-1])
    mapped = "::ffff:198.18.0.2"
    yield _row("spa-from-mapped", 6, knocking, source=mapped)
    yield _row("spa-to-mapped", 6, knocking, destination=MAPPED)


def knocking(way: Way) -> list[bytes]:
    """Return it in a plain packet."""
    return [framed(way, datagram(way, payload(way)))]


def _trailed(way: Way) -> list[bytes]:
    return [framed(way, datagram(way, payload(way)) + bytes(8))]


def _jumbo(way: Way) -> list[bytes]:
    return [framed(way, p.udp(way.port, payload(way), (way.source, way.destination), length=0))]


def length_rows() -> Iterator[Row]:
    """Return datagrams that are too long or too short, by any of the three lengths that there are."""
    for family in (4, 6):
        for size in (24, 97, 127):  # the token is in the first 24
            yield _row(
                f"spa-{size}", family, lambda way, s=size: [framed(way, datagram(way, payload(way)[:s]))]
            )
        yield _row("spa-long", family, lambda way: [framed(way, datagram(way, payload(way) + b"\0"))])
        yield _row("spa-trailed", family, _trailed)
        yield _row("spa-claims-0", family, _jumbo, fate=TAKEN if family == 6 else IGNORED)


ROWS = (*ipv4_rows(), *ipv6_rows(), *length_rows())
