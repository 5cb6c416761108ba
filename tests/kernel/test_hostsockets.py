# SPDX-License-Identifier: MIT
"""What the host's socket table says of its connections, by real sockets of every state."""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack
from ipaddress import IPv4Address, IPv6Address, ip_interface
from pathlib import Path

import packets
import pytest
from lab import until

from spale_core import hostsockets, netlink
from spale_core.demo.stage import Namespace
from spale_core.hostsockets import ALIVE, ESTABLISHED, HostSockets
from spale_core.model import Connection, Protocol, Service, Source

pytestmark = pytest.mark.kernel

PORT = 22
SSH, WEB = Service(Protocol.TCP, PORT), Service(Protocol.TCP, 443)
SERVER4, CLIENT4 = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")
SERVER6, CLIENT6 = IPv6Address("2001:db8::1"), IPv6Address("2001:db8::2")


class Hosts:
    """Two hosts and a cable; the server listens on its port, for both families with one socket."""

    def __init__(self, stack):
        """Make them; `stack` lets go of everything."""
        self._stack = stack
        self.server, self.client = Namespace(), Namespace()
        stack.callback(self.server.close)
        stack.callback(self.client.close)
        self.server.cable("door0", self.client, "knock0")
        for side, interface, addresses in (
            (self.server, "door0", (SERVER4, SERVER6)),
            (self.client, "knock0", (CLIENT4, CLIENT6)),
        ):
            for address in addresses:
                side.add_address(interface, ip_interface(f"{address}/{24 if address.version == 4 else 64}"))
        self.listener = self.listen(PORT)
        self.sockets = HostSockets()

    def listen(self, port):
        """Return a listener of the server."""
        with self.server.inside():
            listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
        self._stack.enter_context(listener)
        listener.settimeout(5)
        return listener

    def connect(self, target=SERVER4, listener=None, scope=0):
        """Return both ends of a connection: the client's and the server's."""
        listener = listener or self.listener
        family = socket.AF_INET if target.version == 4 else socket.AF_INET6
        with self.client.inside():
            ours = socket.socket(family, socket.SOCK_STREAM)
        ours.settimeout(5)
        port = listener.getsockname()[1]
        ours.connect((str(target), port) if family is socket.AF_INET else (str(target), port, 0, scope))
        self._stack.enter_context(ours)
        theirs, _ = listener.accept()
        self._stack.enter_context(theirs)
        return ours, theirs

    def found(self, services=(SSH,), states=ALIVE):
        """Return what the server's table has."""
        with self.server.inside():
            return self.sockets.connections(services, states)


@pytest.fixture
def hosts():
    """Return two hosts."""
    with ExitStack() as stack:
        yield Hosts(stack)


def named(ours, destination=SERVER4, source=CLIENT4, ifindex=0, service=SSH):
    """Return how the server's table names a connection of the client."""
    return Connection(Source(source, ifindex), service, destination, ours.getsockname()[1])


def test_both_families(hosts):
    """IPv6 as it is, and IPv4 that came to a socket of IPv6 as IPv4."""
    (four, _), (six, _) = hosts.connect(SERVER4), hosts.connect(SERVER6)
    assert hosts.found() == {named(four), named(six, SERVER6, CLIENT6)}
    assert hosts.found() == {named(four), named(six, SERVER6, CLIENT6)}


def test_an_address_of_one_link_has_its_interface(hosts):
    """Like the source of a packet that came in there."""
    until(lambda: _link_local(hosts.server, "door0") and _link_local(hosts.client, "knock0"))
    target, source = _link_local(hosts.server, "door0"), _link_local(hosts.client, "knock0")
    ours, _ = hosts.connect(target, scope=hosts.client.index("knock0"))
    assert hosts.found() == {named(ours, target, source, hosts.server.index("door0"))}


def _link_local(namespace, interface):
    """Return the interface's own address, None while it is not usable yet."""
    with namespace.inside():
        table = Path("/proc/thread-self/net/if_inet6").read_text()
    rows = [line.split() for line in table.splitlines()]
    found = [row[0] for row in rows if row[5] == interface and row[3] == "20" and row[4] == "80"]
    return IPv6Address(int(found[0], 16)) if found else None


def test_only_the_services_that_are_asked_for(hosts):
    """Of several ports, in one run or apart; the same port of UDP asks for nothing."""
    other = hosts.listen(443)
    one, _ = hosts.connect()
    two, _ = hosts.connect(listener=other)
    web = named(two, service=WEB)
    assert hosts.found([WEB]) == {web}
    assert hosts.found([SSH, WEB]) == {named(one), web}
    assert hosts.found([Service(Protocol.TCP, port) for port in range(1, 444)]) == {named(one), web}
    assert hosts.found([Service(Protocol.TCP, port) for port in range(23, 443)]) == set()
    assert hosts.found([Service(Protocol.UDP, PORT)]) == set()


def test_more_ports_than_the_kernels_filter_holds(hosts):
    """Then it lists all, and we choose."""
    hosts.connect(listener=hosts.listen(443))
    ours, _ = hosts.connect()
    many = [Service(Protocol.TCP, port) for port in range(2, 4 * hostsockets._MAX_RANGES, 2)]
    assert hosts.found(many) == {named(ours)}


def test_a_half_closed_connection_stands(hosts):
    """CLOSE_WAIT after the client's FIN, LAST_ACK and the client's last word to come after the server's."""
    ours, theirs = hosts.connect()
    ours.shutdown(socket.SHUT_WR)
    assert theirs.recv(1) == b""
    assert hosts.found(states=ESTABLISHED) == {named(ours)}
    theirs.close()
    until(lambda: hosts.found() == set())


def test_the_side_that_closed_first(hosts):
    """FIN_WAIT2 while the client may still send; TIME_WAIT is what is left, and does not count."""
    ours, theirs = hosts.connect()
    theirs.shutdown(socket.SHUT_WR)
    assert ours.recv(1) == b""
    assert hosts.found() == {named(ours)}
    ours.close()
    until(lambda: hosts.found() == set())
    theirs.close()


def test_a_connection_that_was_reset_is_gone(hosts):
    """Whoever reset it."""
    ours, _ = hosts.connect()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    ours.close()
    until(lambda: hosts.found() == set())


def test_a_connection_that_begins(hosts):
    """SYN_RECV, where the client never answers: it counts, but it does not stand."""
    ours, _ = hosts.connect()
    nobody = "192.0.2.9"
    segment = packets.tcp(PORT, packets.SYN, addresses=(nobody, str(SERVER4)))
    with hosts.client.inside():
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    with raw:
        packet = packets.ipv4(segment, packets.TCP, source=nobody, destination=str(SERVER4))
        raw.sendto(packet, (str(SERVER4), 0))
    begun = Connection(Source(IPv4Address(nobody)), SSH, SERVER4, packets.SOURCE_PORT)
    until(lambda: hosts.found() == {named(ours), begun})
    assert hosts.found(states=ESTABLISHED) == {named(ours)}


def test_a_kernel_that_refuses_is_an_error_in_words():
    """Netlink's errno comes back as an OSError."""
    with pytest.raises(OSError, match="Invalid argument") as caught:
        list(netlink.dump(4, 20, bytes([255, 6]) + bytes(54)))
    assert caught.value.errno == errno.EINVAL
