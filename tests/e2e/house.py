# SPDX-License-Identifier: MIT
"""A house for the end-to-end tests: a stage, a real daemon on its door, services behind it, keys for guests.

Stage, processes and probes are those of `spale demo`.
"""

from __future__ import annotations

import itertools
import os
import select
import socket
import time
from contextlib import ExitStack, contextmanager
from ipaddress import ip_interface
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from spale_core.demo.poll import until
from spale_core.demo.probe import Attempt, Outcome, try_doors
from spale_core.demo.processes import Background, Daemon, python, run_tool
from spale_core.model import Protocol, Service, Source
from spale_core.siphash import siphash24
from spale_crypto_hpke import wire
from spale_crypto_hpke.keys import read_key_file
from spale_crypto_hpke.requester import HpkeRequester
from spale_crypto_hpke.suite import Context, KeyPair, auth_encap

if TYPE_CHECKING:
    from pathlib import Path

    from spale_core.demo.stage import Stage

SPA_PORT = 55555
ALL = tuple(Service(protocol, port) for protocol in Protocol for port in (22, 6000))
SHUT_S = 0.4
OPEN_S = 15.0
LOG_S = 15.0
"""How long we wait for an open door, and for a word in the log; that ends as soon as it is there."""

START_S = 60.0
"""How long we wait until a daemon guards, or ends because it cannot."""

NOTICED_S = 5.0 + 5.0
"""How long for what the daemon does at its next sweep: five seconds, and as much for a busy machine."""


@frozen
class Keyring:
    """Keys made by the real spale-keygen: two servers', and the clients' of `CLIENTS` and a stranger's."""

    folder: Path

    @property
    def server_key(self):
        """Return the path of the server's private key."""
        return self.folder / "server" / "server.key"

    def bundle(self, client):
        """Return the path of the key file that `client` knocks with."""
        return self.folder / "private" / f"{client}.key"

    def _pair(self, client):
        """Return the server's public key and the client's key pair."""
        return read_key_file(self.bundle(client).read_bytes())

    @staticmethod
    def junk():
        """Return 128 bytes that nobody made."""
        return os.urandom(wire.LENGTH)

    def seal(self, client, **contents):
        """Return a datagram of `client` as its requester makes it."""
        return HpkeRequester(*self._pair(client)).seal(**contents)

    def seal_plaintext(self, client, epoch, plaintext):
        """Return a datagram with tag and mac of `epoch`, whatever its plaintext says."""
        pk_r, pair = self._pair(client)
        static, ephemeral = pair.dh(pk_r), KeyPair.generate()
        tag, mac_key = wire.derive_tag(wire.derive_tag_key(static, pk_r, pair.public), epoch)
        shared = auth_encap(ephemeral, pk_r, pair.public, static)
        return wire.assemble(tag, mac_key, ephemeral.public, Context(shared, wire.INFO).seal(tag, plaintext))

    def with_new_mac(self, client, payload, epoch):
        """Return `payload` with the mac that `client` would put on it in `epoch`."""
        pk_r, pair = self._pair(client)
        tag, mac_key = wire.derive_tag(wire.derive_tag_key(pair.dh(pk_r), pk_r, pair.public), epoch)
        return tag + siphash24(mac_key, payload[wire.MACED]) + payload[wire.MACED]


@define
class House:
    """One stage, its services, and the daemon that guards them."""

    stage: Stage
    folder: Path
    keyring: Keyring
    config: dict
    daemon: Daemon = None
    _exit: ExitStack = field(factory=ExitStack)
    _numbers: itertools.count = field(factory=itertools.count)

    # what the house does

    def open_shop(self):
        """Start the services behind the door and wait until they answer."""
        command = python("spale_core.demo.greeter", *map(str, ALL))
        greeter = Background(self.stage.server, command, self.folder / "greeter.log")
        self._exit.callback(greeter.stop)
        guests = [self.guest(family) for family in self.stage.families]
        assert until(lambda: set(self.look(guests, timeout_s=SHUT_S)) == {Outcome.OPEN}, LOG_S)

    def start(self, *options, **changes):
        """Start a daemon with the house's configuration and `changes`; do not wait for it."""
        number = next(self._numbers)
        path = self.folder / f"spale-{number}.conf"
        lines = [f"{key}={value}\n" for key, value in {**self.config, **changes}.items()]
        path.write_text("".join(lines))
        path.chmod(0o600)
        log = self.folder / f"daemon-{number}.log"
        self.daemon = Daemon(self.stage.server, log, "--config", str(path), *options)
        self._exit.callback(self._end, self.daemon)
        return self.daemon

    def guard(self, **changes):
        """Start a daemon, wait until it guards, and return its `ready` event."""
        return self.start(**changes).wait_for("ready", timeout_s=START_S)

    def fails(self, *options, **changes):
        """Start a daemon that cannot; return its exit code."""
        failing = self.start(*options, **changes)
        assert until(lambda: failing.exit_code is not None, START_S)
        return failing.exit_code

    def close(self):
        """End all processes and let go of the stage."""
        self._exit.close()

    @staticmethod
    def _end(process):
        if process.exit_code is None:
            process.stop(9)

    # what a guest does

    def guest(self, family):
        """Return an address from which nobody has come yet."""
        return self.stage.new_source(family)

    def guest_at(self, address):
        """Return this very address, given to the client."""
        bits = 16 if ":" not in address else 32
        interface = ip_interface(f"{address}/{bits}")
        self.stage.client.add_address("knock0", interface)
        return interface.ip

    def guests(self):
        """Return one such address of each family."""
        return [self.guest(family) for family in self.stage.families]

    def look(self, sources, services=ALL, timeout_s=SHUT_S):
        """Return what each of `sources` meets at each of `services`, in that order."""
        attempts = [
            Attempt(source, self.stage.server_addresses[source.version], service)
            for source in sources
            for service in services
        ]
        return [seen.outcome for seen in try_doors(self.stage.client, attempts, timeout_s)]

    def all_open(self, sources, services=ALL):
        """Tell whether all these doors are open."""
        return set(self.look(sources, services, OPEN_S)) == {Outcome.OPEN}

    def all_shut(self, sources, services=ALL):
        """Tell whether all these doors are silent."""
        return set(self.look(sources, services)) == {Outcome.SHUT}

    def knock(self, client, source, *options, bind="same"):
        """Knock with the real spale-send and return what it printed."""
        claimed = str(source) if bind == "same" else bind
        return run_tool(
            self.stage.client,
            "spale_core.cli.send",
            *("--host", str(self.stage.server_addresses[source.version]), "--port", str(SPA_PORT)),
            *("--key", str(self.keyring.bundle(client)), "--source", str(source), "--bind-source", claimed),
            *options,
        )

    def let_in(self, client, source, *options):
        """Knock, and return the `granted` event."""
        self.knock(client, source, *options)
        return self.daemon.wait_for("granted", timeout_s=LOG_S, source=str(source))

    def admit(self, client, *guests, **wishes):
        """Knock from each guest and wait until all are let in.

        Without a process for each: on a busy machine the first one's window would be over by then.
        """
        knocks = [(guest, self.datagram(client, guest, **wishes)) for guest in guests]
        for guest, payload in knocks:
            self.send(guest, payload)
        for guest in guests:
            self.daemon.wait_for("granted", timeout_s=LOG_S, source=str(guest))

    def datagram(self, client, source=None, *, late_s=0.0, **wishes):
        """Return a datagram made by `client`, bound to `source`, by a clock that is `late_s` behind."""
        claimed = None if source is None else Source(source)
        unix_ms = int((time.time() - late_s) * 1000)
        return self.keyring.seal(client, unix_ms=unix_ms, source=claimed, **wishes)

    def send(self, source, *payloads, target=None):
        """Send UDP payloads to the SPA port as they are."""
        target = target or self.stage.server_addresses[source.version]
        with self.stage.client.inside():
            sock = socket.socket(
                socket.AF_INET if source.version == 4 else socket.AF_INET6, socket.SOCK_DGRAM
            )
        with sock:
            sock.bind((str(source), 0))
            for payload in payloads:
                sock.sendto(payload, (str(target), SPA_PORT))

    # what the house says

    def refusals(self, reason):
        """Return the `refused` events of `reason` so far, and how many refusals they stand for."""
        events = self.daemon.events("refused", reason=reason)
        return events, sum(int(event["count"]) for event in events)

    @contextmanager
    def refuses(self, reason, times, source):
        """Expect that what happens inside is refused `times` for `reason`, to the ears of nobody.

        The log must name it, and `source` with it; nothing at all may go from the server to `source`.
        """
        before, count_before = self.refusals(reason)
        with Ear(self.stage) as ear:
            yield
            until(lambda: self.refusals(reason)[1] >= count_before + times, LOG_S)
            events, count = self.refusals(reason)
            said = self.daemon.log.read_text()[-1500:]
            assert count - count_before == times, said
            new = events[len(before) :]
            assert len(new) <= times, said
            assert str(source) in {event.get("source", event.get("last_source")) for event in new}, said
            assert ear.answers(source) == []


class Ear:
    """Hears every frame that reaches the client, whatever its sockets think of it."""

    _NEIGHBOURS = range(133, 138)
    _TO_US = 0
    _ICMPV6 = 58

    def __init__(self, stage):
        """Listen on the client's interface."""
        with stage.client.inside():
            self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0003))
            self._sock.bind(("knock0", 0x0003))
        self._sock.settimeout(0)

    def __enter__(self):
        """Return the ear."""
        return self

    def __exit__(self, *_):
        """Stop listening."""
        self._sock.close()

    def answers(self, source):
        """Return the IP packets that came for `source`, but for neighbour discovery."""
        packets = []
        while select.select([self._sock], [], [], 0)[0]:
            packet, (_, ethertype, kind, *_) = self._sock.recvfrom(65535)
            if kind == self._TO_US and self._is_for(packet, ethertype, source):
                packets.append(packet)
        return packets

    def _is_for(self, packet, ethertype, source):
        if ethertype == 0x0800:
            return source.packed == packet[16:20]
        if ethertype == 0x86DD and not (packet[6] == self._ICMPV6 and packet[40] in self._NEIGHBOURS):
            return source.packed == packet[24:40]
        return False
