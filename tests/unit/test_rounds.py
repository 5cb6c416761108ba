# SPDX-License-Identifier: MIT
"""Rounds of knocks at several addresses, over real UDP sockets."""

from __future__ import annotations

import itertools
import socket
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
from attrs import define, field

from spale_core.errors import UnavailableError, UsageError
from spale_core.knock import Binding, Knock, Target
from spale_core.sending.addresses import FAMILIES, resolve
from spale_core.sending.rounds import Local, Rounds

if TYPE_CHECKING:
    from collections.abc import Iterator

NOWHERE = Target(ip_address("fe80::1"), ("fe80::1", 9, 0, 0))
"""A link-local address without its interface: nothing can be sent there."""

INTERFACE = "a link-local address needs the interface that it is on, as in fe80::1%eth0"


@define
class CountingRequester:
    """Makes datagrams that are all different."""

    numbers: Iterator[int] = field(factory=itertools.count)

    def seal(self, **_wish: object) -> bytes:
        """Return the next one."""
        return b"%d" % next(self.numbers)


@define
class Listener:
    """Rounds whose words are kept."""

    targets: tuple[Target, ...]
    binding: str = "off"
    said: list[str] = field(factory=list)
    noted: list[str] = field(factory=list)

    def rounds(self) -> Rounds:
        """Return them."""
        knock = Knock(CountingRequester(), Binding.parse(self.binding))
        return Rounds(knock, self.targets, None, self.said.append, self.noted.append)


@contextmanager
def servers() -> Iterator[dict[Target, socket.socket]]:
    """Yield a UDP socket for each family that this host has, by the target that it is."""
    with ExitStack() as stack:
        found = {}
        for version, address in ((4, "127.0.0.1"), (6, "::1")):
            server = stack.enter_context(socket.socket(FAMILIES[version], socket.SOCK_DGRAM))
            server.settimeout(5)
            try:
                server.bind((address, 0))
            except OSError:
                continue
            found[Target(ip_address(address), server.getsockname())] = server
        yield found


def test_each_address_gets_a_fresh_datagram_each_time() -> None:
    """No two are the same, in one round or between rounds."""
    with servers() as found:
        rounds = Listener(tuple(found)).rounds()
        rounds.first()
        rounds.again()
        heard = [server.recv(64) for server in found.values() for _ in range(2)]
        assert len(set(heard)) == 2 * len(found)


def test_one_family_that_fails_is_told_once() -> None:
    """The other is knocked at all the same, again and again."""
    with servers() as found:
        target = next(iter(found))
        port = target.socket_address[1]
        listener = Listener((NOWHERE, target))
        rounds = listener.rounds()
        rounds.first()
        rounds.again()
        assert found[target].recv(64) != found[target].recv(64)
        assert listener.said == [f"not sent to fe80::1: {INTERFACE}"]
        assert (
            listener.noted.count(f"sent to {target.address} port {port} from {target.address}, not bound")
            == 2
        )


def test_nothing_that_could_be_sent_is_an_error() -> None:
    """In a knock, and in looking ahead to one."""
    for attempt in (Rounds.first, Rounds.preview):
        with pytest.raises(UnavailableError, match=f"nothing could be sent: fe80::1: {INTERFACE}"):
            attempt(Listener((NOWHERE,)).rounds())


def test_a_source_that_is_not_ours() -> None:
    """Who named it, and what would be right; said once for all targets, and no reason to end a wait."""
    found = tuple(Target(ip_address(text), (text, 9)) for text in ("127.0.0.1", "127.0.0.2"))
    noted: list[str] = []
    knock = Knock(CountingRequester(), Binding.parse("off"))
    local = Local(ip_address("203.0.113.9"), "SOURCE of the profile gate")
    rounds = Rounds(knock, found, local, noted.append, noted.append)
    words = (
        "SOURCE of the profile gate: 203.0.113.9 is no address of this host; would be right: 127.0.0.1, from"
    )
    with pytest.raises(UnavailableError, match=f"nothing could be sent: {words}"):
        rounds.first()
    rounds.again()
    assert len(noted) == 2


def test_looking_ahead_sends_nothing() -> None:
    """It tells where from, and how many bytes."""
    with servers() as found:
        listener = Listener((NOWHERE, *found))
        previews = listener.rounds().preview()
        assert [(each.target, each.local, each.length) for each in previews] == [
            (target, target.address, 1) for target in found
        ]
        assert len(listener.said) == 1
        for server in found.values():
            server.settimeout(0)
            with pytest.raises(BlockingIOError):
                server.recv(64)


@pytest.mark.parametrize(
    ("claimed", "local", "misses"),
    [
        ("203.0.113.7", "192.168.0.5", False),
        ("8.8.8.8", "8.8.8.8", False),
        ("8.8.0.0/16", "8.8.8.8", False),
        ("2a00::/32", "2a00::5", False),
        ("8.8.4.4", "8.8.8.8", True),
        ("8.9.0.0/16", "8.8.8.8", True),
        ("2a01::/32", "2a00::5", True),
        ("auto", "8.8.8.8", False),
        ("off", "8.8.8.8", False),
    ],
)
def test_a_claim_that_the_server_will_not_see(claimed: str, local: str, misses: bool) -> None:  # noqa: FBT001 - a table
    """Told where nothing is likely to translate the address on the way."""
    assert Binding.parse(claimed).misses(ip_address(local)) is misses


def test_names_and_families() -> None:
    """An address stands for itself; one of the other family, and a name that is none, are told."""
    (target,) = resolve("127.0.0.1", 9, socket.AF_UNSPEC)
    assert (target.address, target.at(22).socket_address) == (ip_address("127.0.0.1"), ("127.0.0.1", 22))
    with pytest.raises(UsageError, match="::1 is an IPv6 address, and -4 wants IPv4"):
        resolve("::1", 9, socket.AF_INET)
    for host, words in (
        ("[2001:db8::1]", "write 2001:db8::1$"),
        ("[::1]:55555", "write ::1, and --port 55555"),
        ("gate.example:55555", "write gate.example, and --port 55555"),
    ):
        with pytest.raises(UsageError, match=words):
            resolve(host, 9, socket.AF_UNSPEC)
    with pytest.raises(
        UnavailableError, match=r"spale\.invalid: the name does not resolve to an IPv6 address"
    ):
        resolve("spale.invalid", 9, socket.AF_INET6)


def test_a_name_server_that_cannot_be_asked_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked again while there is time; a name that it does not know is final."""
    place = (socket.AF_INET, 2, 17, "", ("127.0.0.1", 9))
    answers = iter([socket.EAI_AGAIN, None, socket.EAI_NONAME, None, socket.EAI_AGAIN])

    def ask(*_question: object) -> list[object]:
        if (code := next(answers)) is not None:
            raise socket.gaierror(code, "in vain")
        return [place]

    monkeypatch.setattr(socket, "getaddrinfo", ask)
    (target,) = resolve("gate.example", 9, socket.AF_UNSPEC, 600)
    assert str(target.address) == "127.0.0.1"
    with pytest.raises(UnavailableError, match="in vain"):
        resolve("gate.example", 9, socket.AF_UNSPEC, 600)
    next(answers)
    with pytest.raises(UnavailableError, match="in vain"):
        resolve("gate.example", 9, socket.AF_UNSPEC)
