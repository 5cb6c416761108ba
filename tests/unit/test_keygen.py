# SPDX-License-Identifier: MIT
"""spale-keygen: what it writes, with which modes, and what it never does."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from spale_core.cli import keygen
from spale_core.fingerprint import fingerprint
from spale_crypto_hpke import keys

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o177, 0o266], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """Work under each umask."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    """Return the permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> set[str]:
    """Return everything in a folder, hidden files too."""
    return {path.name for path in folder.iterdir()}


def test_server(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pair that belongs together, in this folder, and the public key's fingerprint."""
    assert keygen.main(["server"]) == 0
    assert names(here) == {"server.key", "server.key.pub"}
    pair = keys.read_private((here / "server.key").read_bytes())
    assert keys.read_public((here / "server.key.pub").read_bytes()) == pair.public
    assert fingerprint(pair.public) in capsys.readouterr().out


def test_client(here: Path) -> None:
    """NAME.key holds the private key alone, NAME.pem the public one; --out is made if it is not there."""
    out = here / "new" / "folder"
    assert keygen.main(["client", "--name", "admin", "--out", str(out)]) == 0
    assert names(out) == {"admin.key", "admin.pem"}
    pair = keys.read_private((out / "admin.key").read_bytes())
    assert keys.read_public((out / "admin.pem").read_bytes()) == pair.public
    assert mode(out) & 0o077 == 0


def test_bundle(here: Path) -> None:
    """With --bundle the key file is all that spale-send needs."""
    assert keygen.main(["server"]) == 0
    assert keygen.main(["client", "--name", "admin", "--bundle", "--server-pub", "server.key.pub"]) == 0
    server, client = keys.read_key_file((here / "admin.key").read_bytes())
    assert server == keys.read_public((here / "server.key.pub").read_bytes())
    assert client.public == keys.read_public((here / "admin.pem").read_bytes())


def test_bundle_of_a_key_without_a_last_newline(here: Path) -> None:
    """The two blocks do not run into each other."""
    keygen.main(["server"])
    (here / "s.pub").write_bytes((here / "server.key.pub").read_bytes().rstrip())
    assert keygen.main(["client", "--name", "admin", "--bundle", "--server-pub", "s.pub"]) == 0
    keys.read_key_file((here / "admin.key").read_bytes())


def test_install(here: Path) -> None:
    """The server's keys go where the daemon looks, the client's public key too; the private key does not."""
    root = here / "etc" / "spale"
    assert keygen.main(["server", "--install", "--config-root", str(root)]) == 0
    install = ["--install", "--config-root", str(root)]
    assert keygen.main(["client", "--name", "admin", "--bundle", *install]) == 0
    assert names(root) == {"server.key", "server.key.pub", "clients"}
    assert names(root / "clients") == {"admin.pem"}
    assert names(here) == {"etc", "admin.key"}
    server, client = keys.read_key_file((here / "admin.key").read_bytes())
    assert server == keys.read_public((root / "server.key.pub").read_bytes())
    assert client.public == keys.read_public((root / "clients" / "admin.pem").read_bytes())
    assert mode(root) & 0o022 == mode(root / "clients") & 0o022 == 0


def test_modes(here: Path, umask: int) -> None:
    """Private files are exactly 0600 under any umask, public ones never writable by others."""
    keygen.main(["server"])
    keygen.main(["client", "--name", "admin", "--bundle", "--server-pub", "server.key.pub"])
    for name in ("server.key", "admin.key"):
        assert mode(here / name) == 0o600
    for name in ("server.key.pub", "admin.pem"):
        assert mode(here / name) == 0o644 & ~umask


def test_nothing_is_overwritten(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --force an existing file stays, and its partner is not made either."""
    (here / "server.key.pub").write_bytes(b"mine")
    assert keygen.main(["server"]) == 73
    assert "server.key.pub exists already; --force" in capsys.readouterr().err
    assert names(here) == {"server.key.pub"}
    assert (here / "server.key.pub").read_bytes() == b"mine"
    assert keygen.main(["server", "--force"]) == 0
    pair = keys.read_private((here / "server.key").read_bytes())
    assert keys.read_public((here / "server.key.pub").read_bytes()) == pair.public


def test_a_link_is_not_followed(here: Path) -> None:
    """A planted symbolic link is in the way without --force, and replaced, not followed, with it."""
    (here / "victim").write_bytes(b"mine")
    (here / "server.key").symlink_to("victim")
    assert keygen.main(["server"]) == 73
    assert keygen.main(["server", "--force"]) == 0
    assert (here / "victim").read_bytes() == b"mine"
    assert not (here / "server.key").is_symlink()
    assert mode(here / "server.key") == 0o600


def test_force_replaces_an_open_mode(here: Path) -> None:
    """A file that others could read does not lend its mode to the new key."""
    (here / "server.key").touch(0o666)
    (here / "server.key").chmod(0o666)
    assert keygen.main(["server", "--force"]) == 0
    assert mode(here / "server.key") == 0o600


MISTAKES = {
    "nothing": ([], 64, "required"),
    "another kind": (["router"], 64, "router"),
    "no name": (["client"], 64, "--name"),
    "an empty name": (["client", "--name", ""], 64, "cannot be a client's name"),
    "a path as name": (["client", "--name", "../admin"], 64, "cannot be a client's name"),
    "a hidden name": (["client", "--name", ".admin"], 64, "cannot be a client's name"),
    "a name with a newline": (["client", "--name", "admin\n"], 64, "cannot be a client's name"),
    "a long name": (["client", "--name", "a" * 65], 64, "cannot be a client's name"),
    "two places": (["server", "--install", "--out", "x"], 64, "two places"),
    "server-pub alone": (["client", "--name", "a", "--server-pub", "server.key.pub"], 64, "--bundle"),
    "no server key": (["client", "--name", "a", "--bundle", "--server-pub", "nowhere"], 66, "nowhere"),
    "no installed server key": (
        ["client", "--name", "a", "--bundle", "--config-root", "x"],
        66,
        "server.key.pub",
    ),
    "a private key": (
        ["client", "--name", "a", "--bundle", "--server-pub", "server.key"],
        65,
        "no public key",
    ),
    "a folder": (["client", "--name", "a", "--bundle", "--server-pub", "."], 65, "directory"),
    "out is a file": (["client", "--name", "a", "--out", "server.key"], 73, "server.key"),
    "a name of a global key": (["client", "--name", "Protected"], 64, "PROTECTED_PORTS"),
    "a name like another's": (["client", "--name", "home_laptop"], 64, "home-laptop"),
    "a QR code of no bundle": (["client", "--name", "a", "--qr"], 64, "--bundle"),
    "a QR code into a file": (
        ["client", "--name", "a", "--bundle", "--server-pub", "server.key.pub", "--qr"],
        64,
        "terminal",
    ),
}


@pytest.mark.parametrize(("arguments", "code", "words"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake(
    arguments: list[str], code: int, words: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line says what is wrong, and nothing is written."""
    keygen.main(["server"])
    keygen.main(["client", "--name", "home-laptop"])
    before = names(here)
    capsys.readouterr()
    assert keygen.main(arguments) == code
    output = capsys.readouterr()
    assert output.err.startswith("spale-keygen: ")
    assert words in output.err
    assert output.err.count("\n") == 1
    assert names(here) == before


def test_a_low_order_server_key_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bundle that could not keep a secret is not made."""
    (here / "bad.pub").write_bytes(keys.write_public(bytes(32)))
    assert keygen.main(["client", "--name", "a", "--bundle", "--server-pub", "bad.pub"]) == 65
    assert "bad.pub: the public key is a low-order point" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a", "A" * 64, "0", "laptop-2.home_x"])
def test_names_that_are_allowed(here: Path, name: str) -> None:
    """Letters, digits, dots, underscores and dashes."""
    assert keygen.main(["client", "--name", name]) == 0
    assert names(here) == {f"{name}.key", f"{name}.pem"}


def test_no_permission(here: Path) -> None:
    """A folder that this user may not write: exit 77, and the words say so. As nobody, since root may."""
    locked = here / "locked"
    locked.mkdir(0o755)
    if os.geteuid() != 0:
        locked.chmod(0o555)
        assert keygen.main(["server", "--out", str(locked)]) == 77
        return
    here.chmod(0o755)
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        os._exit(keygen.main(["server", "--out", "/etc"]))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 77
