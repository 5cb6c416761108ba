# SPDX-License-Identifier: MIT
"""What options and profiles say that excludes something: each other, or addresses of the server."""

from __future__ import annotations

import socket
import stat
from typing import TYPE_CHECKING

import pytest

from spale_core.cli import send
from spale_crypto_hpke import keys
from spale_crypto_hpke.suite import KeyPair

if TYPE_CHECKING:
    from pathlib import Path

SERVER, CLIENT = KeyPair.generate(), KeyPair.generate()
WHERE = ("--host", "gate.example", "--port", "55555")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the profiles of somebody who has none."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "spale"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Return a client's key file with the right mode."""
    path = tmp_path / "laptop.key"
    path.touch(0o600)
    path.write_bytes(
        keys.write_public(SERVER.public) + keys.write_private(CLIENT.private.private_bytes_raw())
    )
    return path


def profile(*words: str) -> int:
    """Run spale-send profile."""
    return send.main(["profile", *words])


def made(key: Path) -> None:
    """Make the profile `home`."""
    assert profile("create", "home", *WHERE, "--key", str(key)) == 0


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every name have an address of each family, on loopback; skip where one family is off."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.connect(("::1", 9))
    except OSError as error:
        pytest.skip(f"::1: {error}")
    places = [(socket.AF_INET6, ("::1", 9, 0, 0)), (socket.AF_INET, ("127.0.0.1", 9))]

    def found(_host: object, _port: int, family: int, _kind: int) -> list[tuple[object, ...]]:
        return [(each, 2, 17, "", place) for each, place in places if family in {each, socket.AF_UNSPEC}]

    monkeypatch.setattr(socket, "getaddrinfo", found)


@pytest.mark.usefixtures("both")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--bind-source", "192.0.2.2"], "not knocked at ::1, because of --bind-source 192.0.2.2"),
        (["--source", "127.0.0.9"], "not knocked at ::1, because of --source 127.0.0.9"),
        (["--bind-source", "2001:db8::/56"], "127.0.0.1, because of --bind-source 2001:db8::/56"),
        (["--bind-source", "192.0.2.2,2001:db8::2"], ""),
        (["--bind-source", "192.0.2.2", "-4"], ""),
        (["--bind-source", "192.0.2.2,2001:db8::2", "-6"], ""),
        ([], ""),
    ],
)
def test_what_is_left_out_is_told(
    options: list[str], words: str, key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else whatever connects there first hangs, and nobody knows why."""
    assert send.main(["--host", "gate.example", "--port", "9", "--key", str(key), *options]) == 0
    said = capsys.readouterr().err
    assert said.count("\n") == bool(words)
    assert words in said


EXCLUDING = {
    "services in v1": (
        "WIRE=v1\nSERVICES=22/tcp\n",
        [],
        78,
        "SERVICES of the profile home: a datagram of vers",
    ),
    "idle in v1": ("WIRE=v1\nIDLE_SEC=9\n", [], 78, "IDLE_SEC of the profile home: a datagram of version 1"),
    "binding in v1": (
        "WIRE=v1\nBIND_SOURCE=192.0.2.2\n",
        [],
        78,
        "BIND_SOURCE of the profile home: a datagram",
    ),
    "an option in v1": ("WIRE=v1\n", ["--services", "22/tcp"], 64, "--services: a datagram of version 1"),
    "families": (
        "SOURCE=192.0.2.2\nBIND_SOURCE=2001:db8::2\n",
        [],
        78,
        "SOURCE=192.0.2.2 of the profile home is IPv4, and BIND_SOURCE=2001:db8::2 of the profile home wants",
    ),
    "source and -6": (
        "SOURCE=192.0.2.2\n",
        ["-6"],
        64,
        "SOURCE=192.0.2.2 of the profile home is IPv4, and -6",
    ),
    "a source that is not ours": (
        "SOURCE=203.0.113.9\n",
        [],
        69,
        "SOURCE of the profile home: 203.0.113.9 is no",
    ),
}


@pytest.mark.parametrize(("lines", "options", "code", "words"), EXCLUDING.values(), ids=EXCLUDING)
def test_what_excludes_each_other(  # noqa: PLR0917 - a table and fixtures
    root: Path,
    key: Path,
    lines: str,
    options: list[str],
    code: int,
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The profile's key is named; it is the profile's mistake where no option has a part in it."""
    made(key)
    (root / "home" / "config").write_text(f"HOST=127.0.0.1\nPORT=9\n{lines}")
    capsys.readouterr()
    assert send.main(["-p", "home", *options]) == code
    assert words in capsys.readouterr().err


def test_what_excludes_each_other_is_not_written(
    root: Path, key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor a host that is written as in a URL."""
    for options, words in (
        (["--wire", "v1", "--services", "22/tcp"], "SERVICES: a datagram of version 1"),
        (
            ["--source", "192.0.2.2", "--bind-source", "2001:db8::2"],
            "SOURCE=192.0.2.2 is IPv4, and BIND_SOURCE=",
        ),
        (["--host", "[2001:db8::1]"], "without brackets"),
        (["--host", "gate.example:55555"], "without a port"),
    ):
        assert profile("create", "home", *WHERE, *options, "--key", str(key)) == 64
        assert words in capsys.readouterr().err
    assert not root.exists()
    made(key)
    assert profile("set", "home", "--wire", "v1") == 0
    assert profile("set", "home", "--idle-sec", "9") == 64
    assert "IDLE_SEC: a datagram of version 1" in capsys.readouterr().err


def test_a_profile_that_others_may_change(root: Path, key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They could send its knocks elsewhere: warned about, and used all the same."""
    assert profile("create", "home", "--host", "127.0.0.1", "--port", "9", "--key", str(key)) == 0
    for path in (root / "home", root / "home" / "config"):
        mode = stat.S_IMODE(path.stat().st_mode)
        path.chmod(mode | 0o022)
        capsys.readouterr()
        assert send.main(["-p", "home"]) == 0
        assert f"others may write to {path}" in capsys.readouterr().err
        path.chmod(mode)
    assert send.main(["-p", "home"]) == 0
    assert capsys.readouterr().err == ""
