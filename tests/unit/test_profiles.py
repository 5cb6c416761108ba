# SPDX-License-Identifier: MIT
"""Profiles: the original's, ours, and the words for each mistake."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path

import pytest

from spale_core.cli import send
from spale_core.errors import MissingInputError
from spale_core.fingerprint import fingerprint
from spale_core.sending import profiles
from spale_core.sending.places import root_on
from spale_crypto_hpke import keys
from spale_crypto_hpke.suite import KeyPair

ORIGINAL = Path(__file__).parents[1] / "fixtures" / "original" / "profile"
SERVER, CLIENT = KeyPair.generate(), KeyPair.generate()
PRIVATE = keys.write_private(CLIENT.private.private_bytes_raw())
BUNDLE = PRIVATE + keys.write_public(SERVER.public)
WHERE = ("--host", "gate.example", "--port", "55555")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the profiles of somebody who has none."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "spale"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Return a key file."""
    path = tmp_path / "laptop.key"
    path.touch(0o600)
    path.write_bytes(BUNDLE)
    return path


def profile(*words: str) -> int:
    """Run spale-send profile."""
    return send.main(["profile", *words])


def made(key: Path, name: str = "home") -> None:
    """Make a profile."""
    assert profile("create", name, *WHERE, "--key", str(key)) == 0


PLACES = {
    "linux": ("linux", {}, "/home/anna", "/home/anna/.config/spale"),
    "linux, XDG": ("linux", {"XDG_CONFIG_HOME": "/cfg"}, "/home/anna", "/cfg/spale"),
    "linux, a relative XDG counts as none": ("linux", {"XDG_CONFIG_HOME": "c"}, "/h", "/h/.config/spale"),
    "freebsd": ("freebsd14", {}, "/home/anna", "/home/anna/.config/spale"),
    "macOS": ("darwin", {}, "/Users/anna", "/Users/anna/Library/Application Support/spale"),
    "macOS, XDG": ("darwin", {"XDG_CONFIG_HOME": "/cfg"}, "/Users/anna", "/cfg/spale"),
    "windows": (
        "win32",
        {"APPDATA": r"C:\Users\anna\AppData\Roaming", "XDG_CONFIG_HOME": "/cfg"},
        r"C:\Users\anna",
        r"C:\Users\anna\AppData\Roaming\spale",
    ),
    "windows without APPDATA": ("win32", {}, r"C:\Users\anna", r"C:\Users\anna\AppData\Roaming\spale"),
}


@pytest.mark.parametrize(("platform", "environment", "home", "expected"), PLACES.values(), ids=PLACES)
def test_where_profiles_are(platform: str, environment: dict[str, str], home: str, expected: str) -> None:
    """Where each system keeps a user's settings."""
    assert root_on(platform, environment, home) == expected


def test_nobodys_profiles_are_nowhere() -> None:
    """Who has no home is told so."""
    with pytest.raises(MissingInputError, match="HOME"):
        root_on("linux", {}, "~")


def test_the_originals_profile_works(root: Path, key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the original wrote is read as it is."""
    shutil.copytree(ORIGINAL, root / "gate")
    shutil.copy(key, root / "gate" / "key")
    assert profile("show", "gate") == 0
    assert "SOURCE=192.0.2.7\nSTEP=30\n" in capsys.readouterr().out
    values = profiles.read(str(root), "gate").values()
    assert {name: str(value) for name, value in values.items()} == {
        "count": "1",
        "host": "203.0.113.10",
        "port": "55555",
        "source": "192.0.2.7",
        "step": "30",
    }


def test_ours_is_as_the_original_writes_it(root: Path, key: Path) -> None:
    """Sorted, with what was given and no more; a key of its own, and nothing that others may read."""
    wish = ["--host", "203.0.113.10", "--source", "192.0.2.7", "--count", "1", "--step", "30"]
    umask = os.umask(0)
    try:
        assert profile("create", "gate", *wish, "--port", "55555", "--key", str(key)) == 0
    finally:
        os.umask(umask)
    assert (root / "gate" / "config").read_text() == (ORIGINAL / "config").read_text()
    assert (root / "gate" / "key").read_bytes() == BUNDLE
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (root, *root.rglob("*"))}
    assert all(mode == (0o700 if path.is_dir() else 0o600) for path, mode in modes.items()), modes
    assert {path.name for path in root.rglob("*")} == {"gate", "config", "key"}


def test_options_beat_the_profile(root: Path, key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is given on the command line, and the rest of the profile."""
    wish = ["--host", "192.0.2.1", "--services", "22/tcp", "--idle-sec", "9", "--bind-source", "off"]
    assert profile("create", "home", *wish, "--port", "55555", "--key", str(key)) == 0
    capsys.readouterr()
    assert send.main(["-p", "home", "--host", "127.0.0.1", "--services", "53/udp", "--dry-run"]) == 0
    assert capsys.readouterr().out == (
        "would send 128 bytes to 127.0.0.1 port 55555 from 127.0.0.1, not bound: 53/udp, "
        "an idle window of 9 s\n"
    )
    assert (root / "home" / "config").exists()


@pytest.mark.usefixtures("root")
def test_list_and_show(key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Names and places; of the keys their fingerprints and nothing else; both also as JSON."""
    made(key)
    made(key, "work")
    capsys.readouterr()
    assert profile("list") == 0
    assert capsys.readouterr().out == "home  gate.example port 55555\nwork  gate.example port 55555\n"
    assert profile("list", "--json") == 0
    listed = json.loads(capsys.readouterr().out)["profiles"]
    assert listed[0] == {"name": "home", "host": "gate.example", "port": 55555}
    prints = {"client_key": fingerprint(CLIENT.public), "server_key": fingerprint(SERVER.public)}
    for options in ([], ["--json"]):
        assert profile("show", "home", *options) == 0
        said = capsys.readouterr().out
        assert all(text in said for text in prints.values())
        assert "PRIVATE" not in said
        assert PRIVATE.splitlines()[1].decode() not in said
    assert prints.items() <= json.loads(said).items()


def test_set(root: Path, key: Path, tmp_path: Path) -> None:
    """What is given is changed, an empty value goes away, and the rest stays."""
    made(key)
    assert profile("set", "home", "--host", "192.0.2.1", "--wire", "v1", "--count", "2") == 0
    assert profile("set", "home", "--wire", "") == 0
    assert (root / "home" / "config").read_text() == "COUNT=2\nHOST=192.0.2.1\nPORT=55555\n"
    other = tmp_path / "other.key"
    other.touch(0o600)
    other.write_bytes(
        keys.write_public(CLIENT.public) + keys.write_private(SERVER.private.private_bytes_raw())
    )
    assert profile("set", "home", "--key", str(other)) == 0
    assert (root / "home" / "key").read_bytes() == other.read_bytes()
    assert {path.name for path in (root / "home").iterdir()} == {"config", "key"}


def test_delete(root: Path, key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With -y it is gone, with its key; without, where nobody can be asked, it stays."""
    made(key)
    assert profile("delete", "home") == 64
    assert (root / "home" / "key").exists()
    assert profile("delete", "-y", "home") == 0
    assert list(root.iterdir()) == []
    assert profile("delete", "-y", "home") == 66
    assert "no profile 'home'" in capsys.readouterr().err
    made(key)
    for command in ("show", "set", "delete"):
        capsys.readouterr()
        assert profile(command, "HONE") == 66
        assert "did you mean home?" in capsys.readouterr().err


def test_a_link_is_removed_and_not_followed(root: Path, tmp_path: Path) -> None:
    """What it points to is somebody else's."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    root.mkdir(parents=True)
    (root / "home").symlink_to(tmp_path / "precious")
    assert profile("delete", "-y", "home") == 0
    assert (tmp_path / "precious" / "file").exists()
    assert list(root.iterdir()) == []


def test_what_fails_leaves_nothing(root: Path, key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No half profile, nor a change of one that exists."""
    key.write_bytes(PRIVATE)
    assert profile("create", "home", *WHERE, "--key", str(key)) == 65
    assert "no public key" in capsys.readouterr().err
    assert not root.exists()
    key.write_bytes(BUNDLE)
    made(key)
    assert profile("create", "home", "--host", "other", "--port", "1", "--key", str(key)) == 73
    assert "exists already" in capsys.readouterr().err
    assert profile("set", "home", "--host", "") == 64
    assert profile("set", "home", "--source", "fe80::1%a\nHOST=other") == 64
    assert (root / "home" / "config").read_text() == "HOST=gate.example\nPORT=55555\n"


@pytest.mark.parametrize(
    "name",
    ["..", ".", "", "a/b", "../a", r"a\b", "-p", "a\n", "a" * 65, "nul", "COM1.x", "a.", ".hidden", "ä"],
)
def test_a_name_leads_nowhere_else(root: Path, key: Path, name: str) -> None:
    """Nor to what has a meaning of its own on any system."""
    assert profile("create", "--key", str(key), *WHERE, "--", name) == 64
    assert not root.exists()


CONFIGS = {
    "unknown key": ("HOST=h\nPORT=1\nHOTS=h\n", "config:3: HOTS: no such key; there are BIND_SOURCE, COUNT"),
    "bad port": ("# a word\n\nPORT=ssh\n", "config:3: PORT: 'ssh' is not a number"),
    "twice": ("HOST=h\nHOST=h\n", "config:2: HOST: is there twice"),
    "step": ("STEP=60\n", "config:1: STEP:"),
    "no port": ("HOST=h\n", "--port missing"),
}


@pytest.mark.parametrize(("content", "words"), CONFIGS.values(), ids=CONFIGS)
def test_a_broken_profile(
    root: Path, key: Path, content: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """File and line are named, and what is wrong."""
    made(key)
    (root / "home" / "config").write_text(content)
    capsys.readouterr()
    assert send.main(["-p", "home"]) in {64, 78}
    assert words in capsys.readouterr().err
    assert profile("list") == 0


def test_comments_and_quotes(root: Path, key: Path) -> None:
    """As in the server's file."""
    made(key)
    (root / "home" / "config").write_text("HOST = 'h'   \nPORT=55555 # a word\nSOURCE=\n")
    assert profiles.read(str(root), "home").texts == {"HOST": "h", "PORT": "55555"}


@pytest.mark.usefixtures("root")
def test_an_unknown_profile(key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The nearest one is named, or how to see all."""
    assert send.main(["-p", "home"]) == 66
    assert "profile list" in capsys.readouterr().err
    made(key)
    assert send.main(["-p", "hone"]) == 66
    assert "did you mean home?" in capsys.readouterr().err


@pytest.mark.usefixtures("root")
def test_a_profile_without_its_option(key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bare word that is one's name is what -p was forgotten for."""
    made(key)
    capsys.readouterr()
    assert send.main(["home"]) == 64
    assert "did you mean -p home?" in capsys.readouterr().err
    assert send.main(["work"]) == 64
    assert "see spale-send --help" in capsys.readouterr().err


def test_a_device_of_windows_is_the_reason(key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever is on another system could not guess."""
    assert profile("create", "aux", *WHERE, "--key", str(key)) == 64
    assert "on Windows" in capsys.readouterr().err
