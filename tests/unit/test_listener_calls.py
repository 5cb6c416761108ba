# SPDX-License-Identifier: MIT
"""A listener's day under a filter that kills it for any call that the real one would refuse."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from pathlib import Path

import pytest
from confinement import filtered
from paper_house import opened

from spale_core import arrival, clock, ipc, listener, privilege, seccomp
from spale_core.config.settings import ClientSettings, Settings
from spale_core.control.client import Client
from spale_core.engine import Engine, Rules
from spale_core.firstknock import rehearse
from spale_core.model import Claim, Protocol, Reason, Refused, Service
from spale_core.outlet import open_log
from spale_core.plugins import Plugins
from spale_crypto_hpke.keys import write_private
from spale_crypto_hpke.requester import HpkeRequester
from spale_crypto_hpke.suite import KeyPair

pytestmark = pytest.mark.kernel

DEADLINE_S = 60
HOME = "127.0.0.1"
SSH = frozenset({Service(Protocol.TCP, 22)})


class Prisoner:
    """A listener, assembled as `spale_core.listener.main` does it, in a process of its own."""

    def __init__(self, folder):
        """Start it."""
        self.server, self.client = KeyPair.generate(), KeyPair.generate()
        key = folder / "server.key"
        key.touch(0o600)
        key.write_bytes(write_private(self.server.private.private_bytes_raw()))
        member = ClientSettings("anna", self.client.public, SSH, 60, 300, 3600)
        self.settings = Settings(("lo",), 1, SSH, (key,), (member,))
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((HOME, 0))
        self.udp.setsockopt(socket.IPPROTO_IP, arrival._IP_PKTINFO, 1)
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channel.settimeout(DEADLINE_S)
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            with suppress(BaseException):
                self._serve(theirs, parent)
            os._exit(1)
        theirs.close()

    def _serve(self, channel, parent):
        self.channel.close()
        self.udp.settimeout(0)
        plugins = Plugins(["hpke"])
        rules = Rules(frozenset(), 30, require_source_binding=False)
        engine = Engine(listener._make_schemes(self.settings, plugins), rules, {})
        # What it would say of plugins that do what they must not.
        engine.bug, engine.denied, engine.denials = ValueError(), PermissionError(), 3
        system = clock.SystemClock()
        loop = listener._Loop(engine, channel, [self.udp], system, open_log(self.settings, system))
        rehearse([plugins.auth_scheme("hpke")], system.unix_ms())
        privilege.drop(privilege.Identity(65534, 65534), parent)
        _load_deadly()
        loop.run()
        os._exit(0)

    def knock(self, payload):
        """Send a datagram to it."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as guest:
            guest.bind((HOME, 0))
            guest.sendto(payload, self.udp.getsockname())

    def seal(self):
        """Return a good datagram."""
        requester = HpkeRequester(self.server.public, self.client)
        return requester.seal(unix_ms=time.time_ns() // 1_000_000)

    def await_message(self, wanted):
        """Return the next message of which ``wanted(message)`` is true."""
        deadline = time.monotonic() + DEADLINE_S
        said = []
        while time.monotonic() < deadline:
            said.append(ipc.decode(self.channel.recv(ipc.MAX_LENGTH)))
            if wanted(said[-1]):
                return said[-1]
        pytest.fail(f"it only said {said}")

    def dismiss(self):
        """Let it end, and return its status."""
        self.channel.shutdown(socket.SHUT_WR)
        with suppress(OSError):
            while self.channel.recv(ipc.MAX_LENGTH):
                continue
        _, status = os.waitpid(self.pid, 0)
        self.channel.close()
        self.udp.close()
        return os.waitstatus_to_exitcode(status)


def _load_deadly():
    binding = seccomp._binding()
    calls = binding.SyscallFilter(binding.KILL_PROCESS)
    seccomp._add_rules(binding, calls)
    calls.load()


def test_it_never_tries_what_it_may_not(tmp_path, capfd):
    """Tags, knocks, junk, its words about plugins, and its end need no call that is refused."""
    filtered()
    prisoner = Prisoner(tmp_path)
    try:
        prisoner.await_message(lambda message: message == ipc.Ready())
        prisoner.knock(prisoner.seal())
        assert prisoner.await_message(lambda message: isinstance(message, Claim)).client == 0
        for payload in (b"junk", bytes(128), *(os.urandom(128) for _ in range(100))):
            prisoner.knock(payload)
        for reason in (Reason.SPA_LENGTH, Reason.UNKNOWN_TAG):
            prisoner.await_message(
                lambda said, reason=reason: isinstance(said, Refused) and said.reason is reason
            )
        prisoner.await_message(lambda message: message == ipc.Alive())
    finally:
        assert prisoner.dismiss() == 0
    said = capfd.readouterr().err
    assert "plugin_bug error=ValueError where=unknown" in said
    assert "call_refused count=3 where=unknown" in said


def test_a_daemon_says_that_it_is_there(tmp_path):
    """The kernel names it for the listener, and `spale status` does; there is no warning."""
    filtered()
    with opened(tmp_path) as house:
        house.start()
        pid = house.ready()
        assert "\nSeccomp:\t2\n" in Path(f"/proc/{pid}/status").read_text()
        assert ask(house)["listener_filter"] is True
        assert seccomp.WARNING not in house.log


@pytest.mark.parametrize("trouble", ["ImportError()", "RuntimeError('Unable to find libseccomp')"])
def test_a_daemon_without_it_warns_and_works(tmp_path, trouble):
    """In its log, in its status, at every listener; knocks are granted."""
    with opened(tmp_path) as house:
        (tmp_path / "site" / "pyseccomp.py").write_text(f"raise {trouble}\n")
        house.start()
        pid = house.ready()
        assert seccomp.WARNING in house.line("warning ").replace("\\", "")
        assert "\nSeccomp:\t0\n" in Path(f"/proc/{pid}/status").read_text()
        assert ask(house)["listener_filter"] is False
        house.send(house.seal())
        house.line("granted ")


def ask(house):
    """Return the daemon's status."""
    with Client.connect(house.folder / "spale.sock") as client:
        return client.call("status")
