# SPDX-License-Identifier: MIT
"""Many clients of one daemon on the demo's stage, each with addresses of its own."""

from __future__ import annotations

import socket
import struct
import subprocess
import time
from ipaddress import ip_address

from spale_core.demo.processes import Daemon
from spale_core.demo.stage import DOOR
from spale_core.model import Protocol, Service, Source
from spale_crypto_hpke.keys import write_private, write_public
from spale_crypto_hpke.requester import HpkeRequester
from spale_crypto_hpke.suite import KeyPair

NETWORK4 = "198.18.0.0/15"
SERVICES = (Service(Protocol.TCP, 22), Service(Protocol.UDP, 6000))
SPA_PORT = 55555
START_S = 60

_SOURCES, _SOURCE_BITS = int(ip_address("198.19.0.0")), 16
_IP_PKTINFO = 8  # <linux/in.h>


class Crowd:
    """`size` clients whose keys a server in `folder` knows."""

    def __init__(self, folder, size):
        """Make the keys."""
        self.folder = folder
        server, clients = KeyPair.generate(), [KeyPair.generate() for _ in range(size)]
        (folder / "clients").mkdir(mode=0o700, parents=True)
        for number, client in enumerate(clients):
            (folder / "clients" / f"client-{number}.pem").write_bytes(write_public(client.public))
        key = folder / "server.key"
        key.touch(mode=0o600)
        key.write_bytes(write_private(server.private.private_bytes_raw()))
        (folder / "spale.conf").touch(mode=0o600)
        self._server, self._clients = server, clients

    def requesters(self):
        """Return what makes each client's datagrams."""
        return [HpkeRequester(self._server.public, client) for client in self._clients]

    def start(self, stage, *options, log="daemon.log"):
        """Start a daemon on the stage's door; do not wait for it. Without a limit of its own."""
        services = ",".join(map(str, SERVICES))
        return Daemon(
            stage.server,
            self.folder / log,
            *("--config", str(self.folder / "spale.conf"), "-i", DOOR, "-S", str(SPA_PORT)),
            *("--dataplane", "tc", "--protect", services, "--rate", "0"),
            *("--state-dir", str(self.folder / "state"), "--server-key", str(self.folder / "server.key")),
            *("--clients", str(self.folder / "clients"), "--socket", str(self.folder / "spale.sock")),
            *options,
        )


def source(number):
    """Return the address with that number; each is the client's own (see `let_any_address_send`)."""
    return Source(ip_address(_SOURCES + number % 2 ** (32 - _SOURCE_BITS)))


def let_any_address_send(stage):
    """Make a part of the network the client's own, so that it may send from each address in it."""
    stage.new_source(4)
    with stage.client.inside():
        command = ["ip", "route", "add", "local", f"{source(0)}/{_SOURCE_BITS}", "dev", "lo"]
        subprocess.run(command, check=True, timeout=10)


def sender(stage):
    """Return a socket that can send from any of these addresses."""
    with stage.client.inside():
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def seal(requester, address):
    """Return a datagram made now, bound to `address`."""
    return requester.seal(unix_ms=time.time_ns() // 10**6, source=address)


def send(stage, udp, payload, address):
    """Send `payload` to the daemon, from `address`."""
    spec = struct.pack("=I4s4s", 0, address.address.packed, bytes(4))
    target = (str(stage.server_addresses[4]), SPA_PORT)
    udp.sendmsg([payload], [(socket.IPPROTO_IP, _IP_PKTINFO, spec)], 0, target)
