# SPDX-License-Identifier: MIT
"""spale-send against real UDP sockets, and its words for each mistake."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from spale_core.cli import send
from spale_core.model import Claim, Datagram, Protocol, Service, Source
from spale_crypto_hpke import keys
from spale_crypto_hpke.authenticator import HpkeAuthenticator
from spale_crypto_hpke.suite import KeyPair

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVER, CLIENT = KeyPair.generate(), KeyPair.generate()
DEADLINE_S = 30


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Return a client's key file with the right mode."""
    path = tmp_path / "admin.key"
    path.touch(0o600)
    path.write_bytes(
        keys.write_public(SERVER.public) + keys.write_private(CLIENT.private.private_bytes_raw())
    )
    return path


@contextmanager
def listening(address: str) -> Iterator[socket.socket]:
    """Yield a UDP socket on a free port of a loopback address; skip where the family is off."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as server:
        try:
            server.bind((address, 0))
        except OSError as error:
            pytest.skip(f"{address}: {error}")
        server.settimeout(DEADLINE_S)
        yield server


def received(server: socket.socket) -> Claim:
    """Return the claim in the next datagram."""
    payload, (address, port, *_) = server.recvfrom(2048)
    authenticator = HpkeAuthenticator([SERVER], [CLIENT.public])
    now = int(time.time()) // 30
    for epoch in (now - 1, now):
        authenticator.tags(epoch)
    claim = authenticator.authenticate(Datagram(payload, Source(ip_address(address)), port, 1), set())
    assert isinstance(claim, Claim)
    return claim


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_one_knock(address: str, key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One datagram that opens arrives, nothing is printed, and the code is 0."""
    with listening(address) as server:
        port = str(server.getsockname()[1])
        assert send.main(["--host", address, "--port", port, "--key", str(key)]) == 0
        claim = received(server)
        assert (claim.bound, claim.services, claim.idle_s) == (False, frozenset(), 0)
        assert abs(claim.unix_ms - time.time() * 1000) < DEADLINE_S * 1000
        assert not select.select([server], [], [], 0)[0]
    assert capsys.readouterr() == ("", "")


def test_the_wish_is_sent(key: Path) -> None:
    """--services and --idle-sec arrive; a bare port asks for both protocols."""
    with listening("127.0.0.1") as server:
        port = str(server.getsockname()[1])
        wish = ["--services", "22/tcp,53", "--idle-sec", "120", "--bind-source", "off", "--step", "30"]
        assert send.main(["--host", "127.0.0.1", "--port", port, "--key", str(key), *wish]) == 0
        claim = received(server)
    tcp, udp = Protocol.TCP, Protocol.UDP
    assert (claim.services, claim.idle_s) == ({Service(tcp, 22), Service(tcp, 53), Service(udp, 53)}, 120)


def test_the_local_address_is_chosen(key: Path) -> None:
    """--source sends from that address."""
    with listening("127.0.0.1") as server:
        port = str(server.getsockname()[1])
        arguments = ["--host", "127.0.0.1", "--port", port, "--key", str(key), "--source", "127.0.0.9"]
        assert send.main(arguments) == 0
        assert received(server).source == Source(ip_address("127.0.0.9"))


def test_several_rounds_are_fresh_each(key: Path) -> None:
    """--count sends that many datagrams, none of them a replay of another."""
    with listening("127.0.0.1") as server:
        port = str(server.getsockname()[1])
        assert send.main(["--host", "127.0.0.1", "--port", port, "--key", str(key), "--count", "3"]) == 0
        assert len({received(server).enc for _ in range(3)}) == 3


def test_verbose_says_what_is_sent(key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where to, where from and what it is bound to, on stderr."""
    bind = ["--bind-source", "198.51.100.0/24"]
    assert send.main(["--host", "127.0.0.1", "--port", "9", "--key", str(key), "-v", *bind]) == 0
    output = capsys.readouterr()
    assert output.out == ""
    # Whether somebody keeps this host's clock is said before.
    assert output.err.endswith(
        "spale-send: sent to 127.0.0.1 port 9 from 127.0.0.1, bound to 198.51.100.0/24\n"
    )


def test_a_key_file_open_to_others_is_warned_about(key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The knock goes out all the same."""
    key.chmod(0o644)
    assert send.main(["--host", "127.0.0.1", "--port", "9", "--key", str(key)]) == 0
    warning = capsys.readouterr().err
    assert "warning" in warning
    assert "chmod 600" in warning


def test_only_a_private_key_has_to_be_hidden(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody is told to shut a file that is no key, such as one of the system's."""
    path = tmp_path / "passwd"
    path.write_text("root:x:0:0\n")
    assert send.main(["--host", "127.0.0.1", "--port", "9", "--key", str(path)]) == 65
    assert "chmod" not in capsys.readouterr().err


MISTAKES = {
    "host missing": (["--port", "9", "--key", "KEY"], 64, "--host missing"),
    "all missing": ([], 64, "--host, --port, --key missing"),
    "port 0": (["--port", "0"], 64, "not a number from 1 to 65535"),
    "port of letters": (["--port", "ssh"], 64, "not a number"),
    "idle": (["--idle-sec", "65536"], 64, "from 0 to 65535"),
    "step": (["--step", "60"], 64, "not a number from 30 to 30"),
    "count": (["--count", "0"], 64, "from 1 to 100"),
    "both families": (["-4", "-6"], 64, "not allowed with"),
    "abbreviated option": (["--ho", "x"], 64, "--ho"),
    "a stray word": (["stray"], 64, "stray is not an option"),
    "services": (["ALL", "--services", "22/sctp"], 64, "--services:"),
    "nine services": (["ALL", "--services", "1-9/tcp"], 65, "at most 8"),
    "source": (["ALL", "--source", "eth0"], 64, "not an address"),
    "source of the other family": (
        ["ALL", "--source", "::1"],
        69,
        "127.0.0.1 has no IPv6 address, and --source ::1 wants one",
    ),
    "binding of the other family": (
        ["ALL", "--bind-source", "2001:db8::2"],
        69,
        "127.0.0.1 has no IPv6 address, and --bind-source 2001:db8::2 wants one",
    ),
    "source and -6": (["ALL", "-6", "--source", "127.0.0.9"], 64, "--source 127.0.0.9 is IPv4, and -6 wants"),
    "binding and -6": (
        ["ALL", "-6", "--bind-source", "192.0.2.0/24"],
        64,
        "--bind-source 192.0.2.0/24 is IPv4",
    ),
    "a source that is not ours": (
        ["ALL", "--source", "203.0.113.9"],
        69,
        "--source: 203.0.113.9 is no address of this",
    ),
    "binding": (["ALL", "--bind-source", "on"], 64, "write auto, off"),
    "binding to loopback": (["ALL", "--bind-source", "127.0.0.1"], 65, "cannot be the source"),
    "binding and source differ": (
        ["ALL", "--bind-source", "192.0.2.1", "--source", "::1"],
        64,
        "--source ::1 is IPv6, and --bind-source 192.0.2.1 wants IPv4",
    ),
    "unknown name": (["--host", "spale.invalid", "--port", "9", "--key", "KEY"], 69, "does not resolve"),
    "a name that is none": (
        ["--host", "a" * 70 + ".x", "--port", "9", "--key", "KEY"],
        64,
        "not a host name",
    ),
    "no key file": (["--host", "::1", "--port", "9", "--key", "/nonexistent/k"], 66, "no such key file"),
    "a folder as key file": (["--host", "::1", "--port", "9", "--key", "/"], 65, "Is a directory"),
    "a profile that is none": (["-p", "../home"], 64, "cannot be a profile's name"),
    "wait for a word": (["ALL", "--wait", "ssh"], 64, "not a number"),
    "connect to a word": (["ALL", "--connect", "h", "ssh"], 64, "not a number"),
    "both waits": (["ALL", "--wait", "22", "--connect", "h", "22"], 64, "not allowed with"),
    "a command after a relay": (["ALL", "--connect", "h", "22", "--", "ssh"], 64, "no command can follow"),
    "no command": (["ALL", "--"], 64, "no command behind --"),
    "wire": (["ALL", "--wire", "v3"], 64, "write v2 or v1"),
    "what v1 cannot say": (["ALL", "--wire", "v1", "--idle-sec", "5"], 64, "--idle-sec"),
    "IPv6 with -4": (["--host", "::1", "--port", "9", "--key", "KEY", "-4"], 64, "::1 is an IPv6 address"),
    "IPv4 with -6": (["ALL", "-6"], 64, "127.0.0.1 is an IPv4 address"),
}


@pytest.mark.parametrize(("arguments", "code", "words"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake(
    arguments: list[str], code: int, words: str, key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line says what is wrong; the code is sysexits.h's; what is for later is never ignored."""
    whole = ["--host", "127.0.0.1", "--port", "9", "--key", str(key)] if arguments[:1] == ["ALL"] else []
    rest = [str(key) if word == "KEY" else word for word in arguments if word != "ALL"]
    assert send.main([*whole, *rest]) == code
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("spale-send: ")
    assert words in output.err
    assert output.err.count("\n") == 1


def test_a_bad_key_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The path, and what is in it instead."""
    path = tmp_path / "only.key"
    path.touch(0o600)
    path.write_bytes(keys.write_private(CLIENT.private.private_bytes_raw()))
    assert send.main(["--host", "127.0.0.1", "--port", "9", "--key", str(path)]) == 65
    said = capsys.readouterr().err
    assert "only.key: no public key" in said
    assert f"cat server.key.pub {path} >NEWFILE" in said
    path.write_bytes(bytes(100_000))
    assert send.main(["--host", "127.0.0.1", "--port", "9", "--key", str(path)]) == 65
    assert "too large" in capsys.readouterr().err


def test_an_unreadable_key_file(key: Path) -> None:
    """Not for this user: exit 77. As another user, since root may read anything."""
    if os.geteuid() != 0:
        key.chmod(0)
        assert send.main(["--host", "127.0.0.1", "--port", "9", "--key", str(key)]) == 77
        return
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        os._exit(send.main(["--host", "127.0.0.1", "--port", "9", "--key", "/proc/1/mem"]))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 77


HEAVY = {
    "asyncio",
    "click",
    "cryptography.hazmat.primitives.serialization.base",
    "email",
    "importlib.metadata",
    "logging",
    "pathlib",
    "pyroute2",
    "rich",
    "shutil",
    "spale_core.cli.profile",
    "spale_core.config.ports",
    "spale_core.model.grant",
    "spale_core.plugins",
    "spale_core.sending.relay",
    "spale_core.sending.waiting",
    "spale_crypto_hpke.authenticator",
    "ssl",
    "subprocess",
}
"""What takes long to load; docs/adr/0021 and 0124 have the measurements."""


def test_the_command_starts_light(key: Path) -> None:
    """Everything that a knock loads is waited for: nothing of this is among it."""
    code = (
        "import sys; from spale_core.cli import send;"
        "send.main(['--host', '127.0.0.1', '--port', '9', '--key', sys.argv[1]]); print(*sys.modules)"
    )
    command = [sys.executable, "-c", code, str(key)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert not set(result.stdout.split()) & HEAVY


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Both print to stdout and end with 0."""
    with pytest.raises(SystemExit) as ended:
        send.main([option])
    assert ended.value.code == 0
    assert "spale-send" in capsys.readouterr().out
