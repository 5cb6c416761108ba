# SPDX-License-Identifier: MIT
"""Key files: the same bytes as OpenSSL, in any order, and a clear word for each mistake."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x448
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from spale_core.errors import DataError
from spale_crypto_hpke import keys
from spale_crypto_hpke.suite import KeyPair

if TYPE_CHECKING:
    from pathlib import Path

SERVER, CLIENT = KeyPair.from_raw(b"\x01" * 32), KeyPair.from_raw(b"\x02" * 32)
SERVER_PUBLIC = keys.write_public(SERVER.public)
CLIENT_PUBLIC = keys.write_public(CLIENT.public)
SERVER_PRIVATE = keys.write_private(b"\x01" * 32)
CLIENT_PRIVATE = keys.write_private(b"\x02" * 32)


def openssl(*arguments: str) -> bytes:
    """Run the real openssl and return what it prints."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("no openssl here")
    return subprocess.run([program, *arguments], capture_output=True, timeout=20, check=True).stdout


def test_we_read_what_openssl_makes(tmp_path: Path) -> None:
    """`openssl genpkey` and `pkey -pubout` give a pair that belongs together."""
    private, public = tmp_path / "k.key", tmp_path / "k.pem"
    openssl("genpkey", "-algorithm", "X25519", "-out", str(private))
    openssl("pkey", "-in", str(private), "-pubout", "-out", str(public))
    pair = keys.read_private(private.read_bytes())
    assert keys.read_public(public.read_bytes()) == pair.public
    server, client = keys.read_key_file(SERVER_PUBLIC + private.read_bytes())
    assert (server, client) == (SERVER.public, pair)


def test_openssl_reads_what_we_make(tmp_path: Path) -> None:
    """It derives our public key from our private one, and writes both back byte for byte."""
    private, public = tmp_path / "k.key", tmp_path / "k.pem"
    private.write_bytes(CLIENT_PRIVATE)
    public.write_bytes(CLIENT_PUBLIC)
    assert openssl("pkey", "-in", str(private), "-pubout") == CLIENT_PUBLIC
    assert openssl("pkey", "-in", str(private)) == CLIENT_PRIVATE
    assert openssl("pkey", "-pubin", "-in", str(public)) == CLIENT_PUBLIC


def test_openssl_agrees_with_us_on_the_secret(tmp_path: Path) -> None:
    """The key agreement between its half and ours is the same from both sides."""
    theirs, theirs_public, ours_public = (tmp_path / name for name in ("t.key", "t.pem", "o.pem"))
    openssl("genpkey", "-algorithm", "X25519", "-out", str(theirs))
    openssl("pkey", "-in", str(theirs), "-pubout", "-out", str(theirs_public))
    ours_public.write_bytes(CLIENT_PUBLIC)
    derived = openssl("pkeyutl", "-derive", "-inkey", str(theirs), "-peerkey", str(ours_public))
    assert derived == CLIENT.dh(keys.read_public(theirs_public.read_bytes()))


@pytest.mark.parametrize(
    "content",
    [
        SERVER_PUBLIC + CLIENT_PRIVATE,
        CLIENT_PRIVATE + SERVER_PUBLIC,
        b"words before\n" + SERVER_PUBLIC + b"\nbetween, \xff\xfe\n" + CLIENT_PRIVATE + b"after",
        (SERVER_PUBLIC + CLIENT_PRIVATE).replace(b"\n", b"\r\n"),
        (SERVER_PUBLIC + CLIENT_PRIVATE).rstrip(),
        b"\xef\xbb\xbf" + SERVER_PUBLIC + CLIENT_PRIVATE,
    ],
    ids=["public first", "private first", "with words", "CRLF", "no last newline", "byte order mark"],
)
def test_a_key_file_in_any_order(content: bytes) -> None:
    """Both blocks are found wherever they stand."""
    assert keys.read_key_file(content) == (SERVER.public, CLIENT)


def test_another_encoding_of_the_same_key_is_read() -> None:
    """PKCS #8 may carry attributes, here an empty set of them."""
    der = bytes.fromhex("3030020100300506032b656e04220420") + b"\x02" * 32 + bytes.fromhex("a000")
    assert keys.read_private(keys._pem("PRIVATE KEY", der)) == CLIENT


def pkcs8(key: object, password: bytes | None = None) -> bytes:
    """Return any private key as PEM."""
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def spki(key: object) -> bytes:
    """Return the public half of any private key as PEM."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


ED25519 = ed25519.Ed25519PrivateKey.generate()
BAD_PRIVATE = {
    "no PEM block": b"",
    "no PEM block .*in it": bytes(32),
    "no private key .*only PUBLIC KEY": CLIENT_PUBLIC,
    "no private key .*decrypt it": pkcs8(CLIENT.private, b"secret"),
    "no private key .*only OPENSSH PRIVATE KEY": ED25519.private_bytes(
        Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()
    ),
    "2 private keys": CLIENT_PRIVATE + SERVER_PRIVATE,
    "begins that does not end": CLIENT_PRIVATE[:-5],
    "begins that does not": CLIENT_PRIVATE.replace(b"END PRIVATE", b"END PUBLIC"),
    "damaged": CLIENT_PRIVATE.replace(b"MC4C", b"MC4!"),
    "private key is damaged": CLIENT_PRIVATE.replace(b"MC4C", b"MC4D"),
    "kind Ed25519": pkcs8(ED25519),
    "kind X448": pkcs8(x448.X448PrivateKey.generate()),
    "kind RSA": pkcs8(rsa.generate_private_key(65537, 2048)),
    "kind EC;": pkcs8(ec.generate_private_key(ec.SECP256R1())),
}


@pytest.mark.parametrize(("words", "content"), BAD_PRIVATE.items(), ids=BAD_PRIVATE.keys())
def test_a_private_key_that_is_none(words: str, content: bytes) -> None:
    """Every way to get it wrong is a DataError that says which."""
    with pytest.raises(DataError, match=words):
        keys.read_private(content)


BAD_PUBLIC = {
    "no public key .*only PRIVATE KEY": CLIENT_PRIVATE,
    "2 public keys": CLIENT_PUBLIC + SERVER_PUBLIC,
    "public key is damaged": CLIENT_PUBLIC.replace(b"MCow", b"MCox"),
    "kind Ed25519": spki(ED25519),
    "kind RSA": spki(rsa.generate_private_key(65537, 2048)),
}


@pytest.mark.parametrize(("words", "content"), BAD_PUBLIC.items(), ids=BAD_PUBLIC.keys())
def test_a_public_key_that_is_none(words: str, content: bytes) -> None:
    """The same for public keys."""
    with pytest.raises(DataError, match=words):
        keys.read_public(content)


BAD_KEY_FILES = {
    "no public key": CLIENT_PRIVATE,
    "no private key": SERVER_PUBLIC,
    "2 public keys": SERVER_PUBLIC + CLIENT_PUBLIC + CLIENT_PRIVATE,
    "2 private keys": SERVER_PUBLIC + SERVER_PRIVATE + CLIENT_PRIVATE,
    "belongs to the private key": CLIENT_PUBLIC + CLIENT_PRIVATE,
    "low-order": keys.write_public(bytes(32)) + CLIENT_PRIVATE,
    "canonical": keys.write_public(b"\xff" * 32) + CLIENT_PRIVATE,
}


@pytest.mark.parametrize(("words", "content"), BAD_KEY_FILES.items(), ids=BAD_KEY_FILES.keys())
def test_a_key_file_that_is_none(words: str, content: bytes) -> None:
    """A client learns at once why its key file cannot knock."""
    with pytest.raises(DataError, match=words):
        keys.read_key_file(content)


@pytest.mark.parametrize("pem", [SERVER_PRIVATE, SERVER_PUBLIC])
def test_every_cut_is_noticed(pem: bytes) -> None:
    """A file that was not copied whole never reads as a key."""
    for length in range(len(pem) - 1):
        with pytest.raises(DataError):
            (keys.read_private if pem is SERVER_PRIVATE else keys.read_public)(pem[:length])
