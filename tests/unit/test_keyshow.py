# SPDX-License-Identifier: MIT
"""spale-keygen show: what is in a key file, whose it is, and what is wrong with those that are none."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from spale_core.cli import keygen
from spale_core.fingerprint import fingerprint
from spale_crypto_hpke import keys

if TYPE_CHECKING:
    from pathlib import Path

    Printed = pytest.CaptureFixture[str]


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with keys of each kind, those of laptop and server installed in `etc`."""
    monkeypatch.chdir(tmp_path)
    keygen.main(["server", "--install", "--config-root", "etc"])
    keygen.main(["client", "--name", "laptop", "--bundle", "--install", "--config-root", "etc"])
    keygen.main(["client", "--name", "spare"])
    return tmp_path


def shown(path: str, printed: Printed) -> dict[str, object]:
    """Return what ``show --json`` says of a file."""
    printed.readouterr()
    assert keygen.main(["show", path, "--json", "--config-root", "etc"]) == 0
    result: dict[str, object] = json.loads(printed.readouterr().out)
    return result


def of(path: Path) -> str:
    """Return the fingerprint of a public key's file."""
    return fingerprint(keys.read_public(path.read_bytes()))


def test_each_kind(office: Path, capsys: Printed) -> None:
    """Private, public and bundle are told apart, with the fingerprint that log and lists show."""
    server, laptop = of(office / "etc/server.key.pub"), of(office / "etc/clients/laptop.pem")
    spare = of(office / "spare.pem")
    expected = {
        "etc/server.key": ("private", server, None, "server"),
        "etc/server.key.pub": ("public", server, None, "server"),
        "etc/clients/laptop.pem": ("public", laptop, None, "client laptop"),
        "laptop.key": ("bundle", laptop, server, "client laptop"),
        "spare.key": ("private", spare, None, None),
        "spare.pem": ("public", spare, None, None),
    }
    for path, values in expected.items():
        kind, own, of_server, holder = values
        assert shown(path, capsys) == {
            "file": path,
            "kind": kind,
            "fingerprint": own,
            "server_fingerprint": of_server,
            "installed_as": holder,
            "open_to_others": False,
        }


def test_for_people(office: Path, capsys: Printed) -> None:
    """The same in words, and no more than is known."""
    capsys.readouterr()
    server, laptop = of(office / "etc/server.key.pub"), of(office / "etc/clients/laptop.pem")
    keygen.main(["show", "laptop.key", "--config-root", "etc"])
    keygen.main(["show", "etc/clients/laptop.pem", "--config-root", "nowhere"])
    keygen.main(["show", "etc/server.key", "--config-root", "etc"])
    assert capsys.readouterr().out.splitlines() == [
        "laptop.key: bundle, all that a client needs, installed here as client laptop",
        f"  client {laptop}",
        f"  server {server}",
        "etc/clients/laptop.pem: public key",
        f"  {laptop}",
        "etc/server.key: private key, installed here as server",
        f"  {server}",
    ]


def test_a_bundle_in_the_other_order_and_with_words_around_it(office: Path, capsys: Printed) -> None:
    """What spale-send takes is shown, too."""
    text = (office / "laptop.key").read_bytes()
    public, private = text.split(b"-----BEGIN PRIVATE")
    (office / "other.key").write_bytes(b"mine:\n-----BEGIN PRIVATE" + private + public + b"\nend\n")
    assert shown("other.key", capsys)["kind"] == "bundle"


def test_open_to_others(office: Path, capsys: Printed) -> None:
    """A private key that others may read is called one; a public key may be open."""
    for name in ("laptop.key", "spare.pem"):
        (office / name).chmod(0o644)
    assert shown("laptop.key", capsys)["open_to_others"] is True
    assert shown("spare.pem", capsys)["open_to_others"] is False
    keygen.main(["show", "laptop.key"])
    assert "chmod 600 laptop.key" in capsys.readouterr().out


def test_no_private_key_is_printed(office: Path, capsys: Printed) -> None:
    """Nothing but what is public is on the screen."""
    capsys.readouterr()
    keygen.main(["show", "laptop.key"])
    printed = capsys.readouterr().out
    secret = (office / "laptop.key").read_text().partition("BEGIN PRIVATE KEY-----\n")[2].partition("\n")[0]
    assert len(secret) == 64
    assert secret not in printed
    assert base64.b64decode(secret)[-32:].hex() not in printed


def ed_private() -> bytes:
    """Return a private key of another kind."""
    key = ed25519.Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def ed_public() -> bytes:
    """Return a public key of another kind."""
    key = ed25519.Ed25519PrivateKey.generate().public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def of_openssh() -> bytes:
    """Return what ssh-keygen writes."""
    key = ed25519.Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())


def encrypted() -> bytes:
    """Return a private key with a passphrase."""
    key = x25519.X25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))


PRIVATE, PUBLIC = keys.write_private(bytes(range(32))), keys.write_public(bytes([9, *bytes(31)]))
OWN_PUBLIC = keys.write_public(keys.read_private(PRIVATE).public)
ARMOUR = "-----{} CERTIFICATE-----\n"
WRONG = {
    "empty": (b"", "no PEM block"),
    "no PEM": (b"IFACE=eth0\n", "no PEM block"),
    "binary": (bytes(range(256)), "no PEM block"),
    "cut off": (PRIVATE[:60], "begins and does not end"),
    "damaged private": (PRIVATE.replace(b"MC4C", b"MC4D"), "private key that is damaged"),
    "damaged public": (PUBLIC.replace(b"MCow", b"MCoz"), "public key that is damaged"),
    "a certificate": ((ARMOUR.format("BEGIN") + "MCow\n" + ARMOUR.format("END")).encode(), "certificate"),
    "another kind, private": (ed_private(), "Ed25519; X25519 is needed"),
    "another kind, public": (ed_public(), "Ed25519; X25519 is needed"),
    "OpenSSH's": (of_openssh(), "key of OpenSSH"),
    "encrypted": (encrypted(), "decrypt it"),
    "low order": (keys.write_public(bytes(32)), "low-order point"),
    "not canonical": (keys.write_public(b"\xff" * 32), "not canonical"),
    "two private keys": (PRIVATE * 2, "2 private keys"),
    "two public keys": (PUBLIC * 2 + PRIVATE, "2 public keys"),
    "both of one pair": (PRIVATE + OWN_PUBLIC, "both keys of one pair"),
    "too large": (bytes(70000), "too large"),
}


@pytest.mark.parametrize(("content", "words"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong(content: bytes, words: str, tmp_path: Path, capsys: Printed) -> None:
    """Exit 65, and one line says what is wrong with which file."""
    path = tmp_path / "some.key"
    path.write_bytes(content)
    assert keygen.main(["show", str(path)]) == 65
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"spale-keygen: {path} ")
    assert words in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(("path", "code"), [("nowhere", 66), (".", 65)])
def test_no_file(path: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not there, or no file, is said so."""
    monkeypatch.chdir(tmp_path)
    assert keygen.main(["show", path]) == code


def test_not_for_us(office: Path) -> None:
    """A key that we may not read: exit 77. As nobody, since root may."""
    if os.geteuid() != 0:
        (office / "laptop.key").chmod(0)
        assert keygen.main(["show", "laptop.key"]) == 77
        return
    office.chmod(0o755)
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        os._exit(keygen.main(["show", "/etc/shadow"]))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 77


def test_what_openssl_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed) -> None:
    """The original's way of making keys: genpkey, pkey -pubout, cat."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("no openssl here")
    monkeypatch.chdir(tmp_path)
    for name in ("server", "client"):
        make = [program, "genpkey", "-algorithm", "X25519", "-out", f"{name}.key"]
        subprocess.run(make, check=True, timeout=30)
        publish = [program, "pkey", "-in", f"{name}.key", "-pubout", "-out", f"{name}.pem"]
        subprocess.run(publish, check=True, timeout=30)
    whole = (tmp_path / "server.pem").read_bytes() + (tmp_path / "client.key").read_bytes()
    (tmp_path / "combined").write_bytes(whole)
    told = shown("combined", capsys)
    assert told["kind"] == "bundle"
    assert told["fingerprint"] == of(tmp_path / "client.pem")
    assert told["server_fingerprint"] == of(tmp_path / "server.pem")


def test_segno_is_loaded_for_a_code_only(office: Path) -> None:
    """It is optional: whoever makes or shows keys without --qr does without it."""
    code = (
        "import sys; sys.modules['segno'] = None; from spale_core.cli import keygen;"
        "sys.exit(keygen.main(['server', '--out', 'new']) or keygen.main(['show', 'laptop.key']))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=office, timeout=30, check=False)
    assert done.returncode == 0
