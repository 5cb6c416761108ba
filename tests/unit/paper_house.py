# SPDX-License-Identifier: MIT
"""A house for tests of monitor and listener: real processes and sockets, a dataplane of paper.

What the kernel does to packets is tested in tests/kernel and tests/e2e; here it is who does what, in which
order, and who may do what.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from ipaddress import ip_address, ip_interface
from pathlib import Path

from spale_core.demo.stage import Namespace
from spale_core.model import Source
from spale_crypto_hpke.keys import write_private
from spale_crypto_hpke.requester import HpkeRequester
from spale_crypto_hpke.suite import KeyPair

ADDRESS4, ADDRESS6 = "192.0.2.1", "2001:db8::1"
PORT = 55555
DEADLINE_S = 60
PLUGIN = Path(__file__).with_name("paper_dataplane.py")


class House:
    """A namespace with two addresses, keys, and a daemon."""

    def __init__(self, folder):
        """Make what a daemon needs; start none."""
        self.folder = folder
        self.diary = folder / "diary"
        self.diary.touch()
        self.namespace = Namespace()
        self.namespace.add_address("lo", ip_interface(f"{ADDRESS4}/32"))
        self.namespace.add_address("lo", ip_interface(f"{ADDRESS6}/128"))
        self.server, self.client = KeyPair.generate(), KeyPair.generate()
        self.write_key(write_private(self.server.private.private_bytes_raw()))
        (folder / "alice.public").write_bytes(self.client.public)
        self._install_plugin(folder / "site")
        self.daemon = None
        self.log = ""

    def write_key(self, pem):
        """Make `pem` the server's key."""
        path = self.folder / "server.key"
        path.touch(0o600)
        path.write_bytes(pem)

    @staticmethod
    def _install_plugin(site):
        """Make the distribution that announces the plugin."""
        info = site / "paper-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: paper\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[spale]\npaper = paper_dataplane\n")
        (site / PLUGIN.name).symlink_to(PLUGIN)

    def start(self, *changes, failing=""):
        """Start a daemon."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.folder / "site"),
            "SPALE_TEST_DIARY": str(self.diary),
            "SPALE_TEST_FAILING": failing,
        }
        command = [sys.executable, str(PLUGIN), str(self.folder), *changes]
        with self.namespace.inside():
            self.daemon = subprocess.Popen(command, stderr=subprocess.PIPE, env=environment)

    def lines(self):
        """Return the log's lines so far, without their times."""
        return [line.partition(" time=")[0] for line in self.log.splitlines()]

    def line(self, begins, since=0):
        """Return the next line of the log, after `since` characters, that begins so."""
        deadline = time.monotonic() + DEADLINE_S
        wanted = re.compile(rf"^{begins}.*\n", re.MULTILINE)
        while (found := wanted.search(self.log, since)) is None:
            wait_s = deadline - time.monotonic()
            assert wait_s > 0, f"no line {begins!r} in {self.log}"
            if select.select([self.daemon.stderr], [], [], wait_s)[0]:
                read = os.read(self.daemon.stderr.fileno(), 65536).decode()
                assert read, f"the daemon has ended without {begins!r}: {self.log}"
                self.log += read
        return found[0].rstrip("\n")

    def number(self, line, key):
        """Return the number behind ``key=``."""
        return int(re.search(rf"\b{key}=(\d+)", line)[1])

    def ready(self):
        """Wait until the daemon is ready; return the listener's process id."""
        return self.number(self.line("ready "), "listener_pid")

    def seal(self, address=ADDRESS4, **contents):
        """Return a datagram bound to the house's own address."""
        requester = HpkeRequester(self.server.public, self.client)
        now = time.time_ns() // 1_000_000
        return requester.seal(unix_ms=now, source=Source(ip_address(address)), **contents)

    def send(self, payload, address=ADDRESS4):
        """Send a datagram from the house's address to itself."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with self.namespace.inside(), socket.socket(family, socket.SOCK_DGRAM) as udp:
            udp.bind((address, 0))
            udp.sendto(payload, (address, PORT))

    def await_reading(self, listener):
        """Wait until the listener has read everything that was sent to it over IPv4."""
        deadline = time.monotonic() + DEADLINE_S
        port = f":{PORT:04X} "
        while True:
            lines = Path(f"/proc/{listener}/net/udp").read_text().splitlines()
            (line,) = [line for line in lines if port in line]
            if line.split()[4].endswith(":00000000"):
                return
            assert time.monotonic() < deadline, "the listener does not read"

    def calls(self):
        """Return what was asked of the dataplane."""
        return [json.loads(line) for line in self.diary.read_text().splitlines()]

    def names(self):
        """Return the names of those calls."""
        return [name for name, *_ in self.calls()]

    def end(self):
        """Wait for the daemon's end; return its exit code."""
        _, rest = self.daemon.communicate(timeout=DEADLINE_S)
        self.log += rest.decode()
        return self.daemon.returncode

    def stop(self, number=signal.SIGTERM):
        """Send a signal and wait for the end."""
        self.daemon.send_signal(number)
        return self.end()

    def close(self):
        """Leave nothing behind."""
        if self.daemon is not None:
            self.daemon.kill()
            self.daemon.wait()
            self.daemon.stderr.close()
        self.namespace.close()


@contextmanager
def opened(folder):
    """Yield a house, and leave nothing of it behind."""
    house = House(folder)
    try:
        yield house
    finally:
        house.close()


def is_gone(pid):
    """Tell whether the process ends before the deadline."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], DEADLINE_S)[0])
    finally:
        os.close(descriptor)


def status(pid):
    """Return what /proc says of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.split() for key, _, value in (line.partition(":") for line in lines)}
