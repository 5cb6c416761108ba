# SPDX-License-Identifier: MIT
"""A real listener whose channel the monitor has half-closed: it says what it has read, and ends."""

from __future__ import annotations

import os
import select
import signal
import socket

import pytest
from paper_house import DEADLINE_S, PORT, opened

from spale_core import ipc, plugins, privilege, spawn
from spale_core.config.settings import ClientSettings, Settings
from spale_core.model import Claim, Protocol, Refused, Service
from spale_core.monitor import sockets

pytestmark = pytest.mark.kernel

SSH = frozenset({Service(Protocol.TCP, 22)})
LOOPBACK = 1
BATCHES, BATCH = 8, 100


class Ward:
    """A listener of nobody's but the test's."""

    def __init__(self, house):
        """Start one in the house's namespace."""
        clients = (ClientSettings("alice", house.client.public, SSH, 60, 300, 3600),)
        settings = Settings(("lo",), PORT, SSH, (house.folder / "server.key",), clients)
        with house.namespace.inside():
            bound = sockets.bind(settings)
            plan = spawn.Plan(settings, privilege.resolve(None), bound, plugins.installed())
            self.child = spawn.start(plan)
        for each in bound:
            each.close()

    def hear(self):
        """Return its next message, None if it has ended."""
        assert select.select([self.child.channel], [], [], DEADLINE_S)[0]
        record = self.child.channel.recv(ipc.MAX_LENGTH)
        return ipc.decode(record) if record else None

    def hear_all(self):
        """Return all its messages until its end."""
        return list(iter(self.hear, None))

    def close(self):
        """End it, and return how it had ended."""
        signal.pidfd_send_signal(self.child.pidfd, signal.SIGKILL)
        os.close(self.child.pidfd)
        self.child.channel.close()
        return os.waitstatus_to_exitcode(os.waitpid(self.child.pid, 0)[1])


@pytest.fixture
def house(tmp_path):
    """Return a house."""
    with opened(tmp_path) as made:
        yield made


def test_what_was_read_is_said(house):
    """More than the channel holds: every datagram has become a claim, or is counted in a refusal."""
    ward = Ward(house)
    while not isinstance(ward.hear(), ipc.Ready):
        pass
    for _ in range(BATCHES):
        for payload in [house.seal() for _ in range(BATCH // 2)]:
            house.send(payload)
            house.send(b"junk")
        house.await_reading(ward.child.pid)
    ward.child.channel.shutdown(socket.SHUT_WR)
    said = ward.hear_all()
    assert ward.close() == 0
    claims = sum(isinstance(each, Claim) for each in said)
    refused = sum(each.count for each in said if isinstance(each, Refused))
    assert (claims, refused) == (BATCHES * BATCH // 2,) * 2


def test_one_that_is_not_ready_just_ends(house):
    """It has read nothing."""
    ward = Ward(house)
    ward.child.channel.shutdown(socket.SHUT_WR)
    said = ward.hear_all()
    assert ward.close() == 0
    assert not any(isinstance(each, Claim | Refused) for each in said)
