# SPDX-License-Identifier: MIT
"""SIGKILL at any moment: what was acknowledged is in the file, and the file is believed."""

from __future__ import annotations

import os
import random
import select
import signal
import struct

from store_lab import Lab, enc

from spale_core.model import Holding

ROUNDS = 25
DATAGRAMS = 60


def _work(lab, first, acknowledge):
    """Use datagrams one after the other, grant and revoke; tell each number once its transaction ended."""
    store = lab.make()
    for number in range(first, first + 100_000):
        lab.host.clock.advance(0.001)
        now_ms = lab.host.clock.unix_ms()
        grant = lab.grant(idle_ns=number + 1)
        with store.transaction():
            store.remember(bytes([number % 7] * 32), enc(number), now_ms, now_ms)
            if number % 3:
                store.put(Holding("alice", grant))
            else:
                store.delete("alice", grant.source, grant.service)
        os.write(acknowledge, struct.pack("=I", number))


def _killed_child(lab, first, chance):
    """Let a child work until it has used some datagrams and a moment more; return the last acknowledged."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            _work(lab, first, writer)
        finally:
            os._exit(1)
    os.close(writer)
    last = -1
    for _ in range(chance.randrange(1, DATAGRAMS)):
        (last,) = struct.unpack("=I", os.read(reader, 4))
    select.select([], [], [], chance.random() * 0.0005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    while record := os.read(reader, 4):
        (last,) = struct.unpack("=I", record)
    os.close(reader)
    return last


def test_killed_at_any_moment(tmp_path):
    """Whatever was acknowledged is known to the next one; nothing is lost, and no file is moved aside."""
    lab = Lab(tmp_path / "state", tmp_path / "run")
    chance = random.Random(os.urandom(8))  # noqa: S311 - moments, no secret
    lab.make().close()
    first, acknowledged = 0, []
    for _ in range(ROUNDS):
        last = _killed_child(lab, first, chance)
        acknowledged += range(first, last + 1)
        lab.host.clock.advance(1)
        with lab.opened() as store:
            assert not store.memory_lost, lab.said
            known = {int.from_bytes(identity) for identity in store.identities()}
            assert set(acknowledged) <= known
            assert known <= set(range(last + 2))
            latest = max(known)
            held = [holding.grant.idle_ns - 1 for holding in store.live()]
            assert held == ([latest] if latest % 3 else [])
            first = latest + 1
    assert lab.files() == ["spale.db"]
