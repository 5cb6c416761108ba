# SPDX-License-Identifier: MIT
"""A place with keys, clients and a valid configuration, to break one thing at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from spale_core.config import loader
from spale_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from spale_core.config.settings import Settings

PLUGINS = ("hpke", "memory", "sqlite", "tc", "xdp")
"""What counts as installed here, whatever this Python has."""


def private_pem(key) -> bytes:
    """Return a private key as OpenSSL writes it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem(key) -> bytes:
    """Return a public key, or the public half of a private one, as OpenSSL writes it."""
    public = key.public_key() if hasattr(key, "public_key") else key
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


class Lab:
    """The place: `lines` is the configuration by key, `conf` the file, `clients` the clients' folder."""

    def __init__(self, folder: Path) -> None:
        """Write keys and one client."""
        self.folder = folder
        self.conf = folder / "spale.conf"
        self.server_key = folder / "server.key"
        self.clients = folder / "clients"
        self.clients.mkdir(mode=0o700)
        self.server = X25519PrivateKey.generate()
        self.write(self.server_key, private_pem(self.server))
        self.add_client("admin")
        self.lines = {
            "IFACE": "lo",
            "LISTEN_PORT": "55555",
            "PROTECTED_PORTS": "22,443/tcp",
            "SERVER_KEY": str(self.server_key),
            "CLIENTS_DIR": str(self.clients),
            "STATE_DIR": str(folder / "state"),
        }

    @staticmethod
    def write(path: Path, content: bytes, mode: int = 0o600) -> Path:
        """Write a file with exactly this mode, whatever the umask."""
        path.write_bytes(content)
        path.chmod(mode)
        return path

    def add_client(self, name: str, pem: bytes | None = None) -> Path:
        """Put a client's public key where it belongs."""
        content = public_pem(X25519PrivateKey.generate()) if pem is None else pem
        return self.write(self.clients / f"{name}.pem", content)

    def put(self, *lines: str) -> None:
        """Write the configuration: the valid lines, each replaced by the one of `lines` with its key."""
        changed = {line.partition("=")[0].strip(): line for line in lines}
        base = [changed.pop(key, f"{key}={value}") for key, value in self.lines.items()]
        extra = [line for line in lines if line.partition("=")[0].strip() not in self.lines]
        self.write(self.conf, "\n".join([*base, *extra, ""]).encode())

    def load(
        self,
        *lines: str,
        options: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
        available=PLUGINS,
    ) -> Settings:
        """Return what the configuration with `lines` says."""
        self.put(*lines)
        return self.load_file(options, environ, available)

    def load_file(self, options=None, environ=None, available=PLUGINS) -> Settings:
        """Return what the file says as it is."""
        return loader.load(options or {}, environ or {}, self.conf, available=available)

    def mistakes(self, *lines: str, **given) -> list[str]:
        """Return the mistakes of the configuration with `lines`; LAB stands for the folder."""
        self.put(*lines)
        return self.mistakes_of_file(**given)

    def mistakes_of_file(self, **given) -> list[str]:
        """Return the mistakes of the file as it is; LAB stands for the folder."""
        with pytest.raises(ConfigError) as caught:
            self.load_file(**given)
        return str(caught.value).replace(str(self.folder), "LAB").splitlines()

    def line_of(self, key: str) -> int:
        """Return the line that sets `key`."""
        written = self.conf.read_text().splitlines()
        return [line.partition("=")[0].strip() for line in written].index(key) + 1


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """Return a place that nobody else may write, with a valid configuration."""
    tmp_path.chmod(0o700)
    return Lab(tmp_path)
