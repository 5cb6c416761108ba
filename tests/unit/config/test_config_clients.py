# SPDX-License-Identifier: MIT
"""The clients' folder: which keys are taken, which are refused, and what each client may have."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x448 import X448PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from spale_core.model import Protocol, Service

PRIME = 2**255 - 19

LOW_ORDER = {
    # RFC 7748 section 6.1 asks for the check; the points are those of order 1, 2, 4 and 8 on curve and twist.
    "zero": 0,
    "one": 1,
    "order 8 (a)": 325606250916557431795983626356110631294008115727848805560023387167927233504,
    "order 8 (b)": 39382357235489614581723060781553021112529911719440698176882885853963445705823,
    "p - 1": PRIME - 1,
}
NOT_CANONICAL = {
    "p": PRIME,
    "p + 1": PRIME + 1,
    "p + 9": PRIME + 9,
    "high bit": 2**255 + 9,
    "ones": 2**256 - 1,
}


def public(key) -> bytes:
    """Return a public key as OpenSSL writes it."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def private(key, encryption=None) -> bytes:
    """Return a private key as OpenSSL writes it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def point(value: int) -> bytes:
    """Return the public key with this u-coordinate."""
    return public(X25519PublicKey.from_public_bytes(value.to_bytes(32, "little")))


def only_client(lab, pem: bytes) -> str:
    """Return the one mistake that admin.pem with this content makes."""
    lab.add_client("admin", pem)
    (found,) = lab.mistakes("ADMIN_PORTS=22")
    place, _, words = found.partition("admin.pem ")
    assert place == "LAB/spale.conf:5: CLIENTS_DIR: LAB/clients/"
    return words


@pytest.mark.parametrize("name", LOW_ORDER)
def test_a_low_order_point_is_refused(lab, name):
    """With it everybody can compute what the client's knocks are sealed with."""
    assert only_client(lab, point(LOW_ORDER[name])).startswith("holds a low-order point")


@pytest.mark.parametrize("name", NOT_CANONICAL)
def test_a_key_that_is_not_canonical_is_refused(lab, name):
    """One client, one form of its key: it enters hashes as the bytes that it is."""
    assert only_client(lab, point(NOT_CANONICAL[name])).startswith("holds a public key that is not canonical")


def test_only_a_public_x25519_key_makes_a_client(lab):
    """Everything else is named for what it is."""
    key = X25519PrivateKey.generate()
    x25519 = public(key.public_key())
    assert only_client(lab, private(key)).startswith("holds a private key; only the client may have it")
    assert only_client(lab, private(key) + x25519).startswith("holds a private key")
    one = "does not hold exactly one public key; write one with `openssl pkey -pubout`"
    assert only_client(lab, b"") == one
    assert only_client(lab, b"hello\n") == one
    assert only_client(lab, x25519 + point(9)) == one
    assert only_client(lab, x25519.replace(b"PUBLIC", b"RSA PUBLIC")) == one
    for other in (Ed25519PrivateKey.generate(), X448PrivateKey.generate(), generate_ec(SECP256R1())):
        words = only_client(lab, public(other.public_key()))
        assert words == "holds a key of another kind; X25519 is needed"
    damaged = only_client(lab, x25519.replace(b"MCow", b"MCo!"))
    assert damaged == "holds a damaged public key; write it anew"
    assert only_client(lab, x25519[:60]) == damaged


def test_only_a_private_x25519_key_is_a_server_key(lab):
    """A bundle, a public key, an encrypted one: named for what they are."""
    key = X25519PrivateKey.generate()
    right = "name the file that `spale-keygen server` wrote as server.key"
    several = f"does not hold exactly one private key; {right}"
    wrong = {
        public(key.public_key()): f"holds a public key; {right}",
        point(9) + private(key): f"holds two keys, as a client's file does; {right}",
        private(key) + point(9): f"holds two keys, as a client's file does; {right}",
        private(key, BestAvailableEncryption(b"x")): "holds an encrypted key; decrypt it with `openssl pkey`",
        b"": several,
        private(key) + private(key): several,
        private(key).replace(b"MC4C", b"MC4D"): f"holds a damaged private key; {right}",
        private(Ed25519PrivateKey.generate()): f"holds a key of another kind than X25519; {right}",
    }
    for pem, words in wrong.items():
        lab.write(lab.server_key, pem)
        assert lab.mistakes() == [f"LAB/spale.conf:4: SERVER_KEY: LAB/server.key {words}"]


def test_two_server_keys_while_rotating(lab):
    """Both are named, by commas or by two options; one and the same is a mistake."""
    lab.write(lab.folder / "next.key", private(X25519PrivateKey.generate()))
    lab.write(lab.folder / "copy.key", lab.server_key.read_bytes())
    both = (lab.folder / "server.key", lab.folder / "next.key")
    assert lab.load(f"SERVER_KEY={both[0]}, {both[1]}").server_keys == both
    (found,) = lab.mistakes(f"SERVER_KEY={both[0]},{lab.folder / 'copy.key'}")
    assert found.endswith("LAB/copy.key holds a key that is there already; name each key once")


def test_the_servers_own_key_is_no_client(lab):
    """Whoever reads its public half would be let in as a client with the key that the server has."""
    lab.add_client("server", public(lab.server.public_key()))
    (found,) = lab.mistakes()
    assert found.endswith("client server has the server's own key; put the client's public key there")


def test_two_clients_with_one_key(lab):
    """Which of them knocked could not be told."""
    lab.add_client("boss", (lab.clients / "admin.pem").read_bytes())
    (found,) = lab.mistakes()
    assert found.endswith("clients admin and boss have the same key; remove one file")


def test_two_clients_with_one_name(lab):
    """Their keys in the file could not be told apart."""
    lab.add_client("home-laptop")
    lab.add_client("home.laptop")
    (found,) = lab.mistakes("HOME_LAPTOP_PORTS=22")
    assert found.endswith(
        "clients home-laptop and home.laptop both have the NAME HOME_LAPTOP; rename one file"
    )


@pytest.mark.parametrize(
    ("name", "key"),
    [("protected", "PROTECTED_PORTS"), ("max", "MAX_SOURCES"), ("client.max", "CLIENT_MAX_SOURCES")],
)
def test_a_name_that_forms_a_global_key(lab, name, key):
    """A client called protected would be configured by PROTECTED_PORTS."""
    lab.add_client(name)
    (found,) = lab.mistakes()
    assert found.endswith(f"client {name} would have the key {key}, which is a global one; rename the file")


@pytest.mark.parametrize("name", ["-x", ".hidden", "a b", "a" * 65, "ünit", "a\nb", ""])
def test_a_name_that_is_none(lab, name):
    """Letters, digits, dots, dashes, underscores, 64 at most, and a letter or digit first."""
    lab.add_client(name)
    (found,) = lab.mistakes()
    assert " is named badly; a client's name is a letter or digit, then at most 63 letters" in found


def test_other_files_in_the_folder_are_no_clients(lab):
    """Only NAME.pem counts."""
    lab.write(lab.clients / "README", b"x")
    lab.write(lab.clients / "old.pem.bak", b"x")
    assert [client.name for client in lab.load().clients] == ["admin"]


def test_nobody_could_ever_get_in(lab):
    """No client and no always-allow is a lock without a key; always-allow alone is fine."""
    (lab.clients / "admin.pem").unlink()
    (found,) = lab.mistakes()
    assert found == (
        "LAB/spale.conf:5: CLIENTS_DIR: LAB/clients has no client (NAME.pem), nor is there an ALWAYS_ALLOW: "
        "nobody could ever get in; add one with `spale-keygen client --install`"
    )
    assert lab.load("ALWAYS_ALLOW=10.0.0.0/8").clients == ()


def test_a_folder_that_is_not_there_blames_nothing_else(lab):
    """Keys of clients that cannot be known yet are not called unknown."""
    (found,) = lab.mistakes(f"CLIENTS_DIR={lab.folder}/nowhere", "BOB_PORTS=22")
    assert found == "LAB/spale.conf:5: CLIENTS_DIR: LAB/nowhere does not exist; create it, or name another"


def test_too_many_services_for_a_client(lab):
    """A grant is written whole or not at all: the way out is NAME_PORTS."""
    (found,) = lab.mistakes("PROTECTED_PORTS=1-200")
    assert found == (
        "LAB/spale.conf:3: PROTECTED_PORTS: 400 services for client admin, where a client may have 256 at"
        " most; name fewer in ADMIN_PORTS"
    )
    (found,) = lab.mistakes("PROTECTED_PORTS=1-200", "ADMIN_PORTS=1-129")
    assert found.startswith("LAB/spale.conf:7: ADMIN_PORTS: 258 services for client admin")
    assert len(lab.load("PROTECTED_PORTS=1-200", "ADMIN_PORTS=1-128").clients[0].services) == 256
    (found,) = lab.mistakes("MAX_GRANTS=2")
    assert "3 services for client admin, where MAX_GRANTS has room for 2 at most" in found


def test_what_a_client_has_of_its_own(lab):
    """Every NAME_ key replaces the global one, for this client only."""
    lab.add_client("home-laptop.2")
    settings = lab.load(
        "HOME_LAPTOP_2_IDLE_SEC=5",
        "HOME_LAPTOP_2_GRACE_SEC=-1",
        "HOME_LAPTOP_2_MAX_SEC=7",
        "HOME_LAPTOP_2_PORTS=22/tcp",
        "HOME_LAPTOP_2_SOURCES=10.0.0.0/8, 2001:db8::/32",
        "HOME_LAPTOP_2_AUTH=hpke",
        "HOME_LAPTOP_2_EXPIRES=2027-12-31",
        "MAX_SEC=100",
    )
    admin, laptop = settings.clients
    assert (admin.idle_s, admin.grace_s, admin.max_s, admin.services) == (60, 300, 100, settings.services)
    assert (admin.sources, admin.auth, admin.expires_unix_ms) == ((), "hpke", None)
    assert (laptop.idle_s, laptop.grace_s, laptop.max_s) == (5, -1, 7)
    assert laptop.services == {Service(Protocol.TCP, 22)}
    assert laptop.sources == (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))
    assert laptop.expires_unix_ms == 1830297599000


@pytest.mark.parametrize(
    ("text", "unix_ms"),
    [
        ("1970-01-01", 86399000),
        ("2027-12-31T18:00Z", 1830276000000),
        ("2027-12-31 18:00:00", 1830276000000),
        ("2027-12-31T18:00:00.5+02:00", 1830268800500),
        ("2027-12-31T18:00:00-0100", 1830279600000),
    ],
)
def test_dates(lab, text, unix_ms):
    """A bare date ends 23:59:59 UTC; a time without a zone is UTC; an offset counts."""
    assert lab.load(f"ADMIN_EXPIRES={text}").clients[0].expires_unix_ms == unix_ms


def test_two_thousand_clients(lab):
    """A large site starts in the same way, and one mistake among them is one line."""
    for number in range(9, 2009):
        lab.add_client(f"c{number}", point(number))
    lab.add_client("bad", b"")
    assert len(lab.mistakes()) == 1
    (lab.clients / "bad.pem").unlink()
    assert len(lab.load().clients) == 2001
