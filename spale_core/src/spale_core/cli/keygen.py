# SPDX-License-Identifier: MIT
"""``spale-keygen``: make the keys of a server or a client."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import field, frozen
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from spale_core.cli.command import guarded, new_parser, not_yet
from spale_core.config.mistakes import shown
from spale_core.errors import DataError, MissingInputError, PermissionDeniedError, UsageError
from spale_core.fingerprint import fingerprint
from spale_core.newfiles import PRIVATE, PUBLIC, NewFile, make_folder, write_all
from spale_core.schemes import find_scheme

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

PROG = "spale-keygen"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_FOLDER_OF_PRIVATE = 0o700
_FOLDER_OF_PUBLIC = 0o755


@frozen
class _Pair:
    """A fresh pair of keys in PEM."""

    private: bytes = field(repr=False)
    public: bytes
    fingerprint: str

    @classmethod
    def generate(cls) -> _Pair:
        """Make one from the operating system's randomness."""
        key = X25519PrivateKey.generate()
        public = key.public_key()
        return cls(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            fingerprint(public.public_bytes_raw()),
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run spale-keygen with `arguments` (default: the command line's); return the exit code."""
    return guarded(PROG, _run, arguments)


def _run(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    if options.kind == "show":
        not_yet("spale-keygen show")
    (_make_server if options.kind == "server" else _make_client)(options)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = new_parser(PROG, "Make X25519 keys, in PEM as OpenSSL reads and writes them.")
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="server|client|show")
    server = kinds.add_parser("server", allow_abbrev=False, help="make server.key and server.key.pub")
    client = kinds.add_parser("client", allow_abbrev=False, help="make NAME.key and NAME.pem")
    client.add_argument("--name", required=True, type=_name, help="how configuration and log call the client")
    client.add_argument(
        "--bundle",
        action="store_true",
        help="put the server's public key into NAME.key too: all that a client needs",
    )
    client.add_argument(
        "--server-pub",
        metavar="PATH",
        type=Path,
        help="the server's public key (default: server.key.pub where installed)",
    )
    for kind in (server, client):
        kind.add_argument("--out", metavar="DIR", type=Path, help="folder to write to (default: this one)")
        kind.add_argument(
            "--install", action="store_true", help="put what the server needs where it looks for it"
        )
        kind.add_argument(
            "--config-root",
            metavar="DIR",
            type=Path,
            default=Path("/etc/spale"),
            help="where that is (default: /etc/spale)",
        )
        kind.add_argument("--force", action="store_true", help="replace files that exist")
    show = kinds.add_parser("show", allow_abbrev=False, help="say what is in a key file (not yet)")
    show.add_argument("file", metavar="FILE")
    return parser


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise UsageError(
            f"--name: {shown(text)} cannot be a client's name; up to 64 letters, digits, dots, "
            "underscores and dashes can, the first a letter or digit"
        )
    return text


def _make_server(options: argparse.Namespace) -> None:
    """Make server.key and server.key.pub."""
    if options.install and options.out:
        raise UsageError("--install and --out name two places; give one")
    folder = options.config_root if options.install else options.out or Path()
    make_folder(folder, _FOLDER_OF_PUBLIC if options.install else _FOLDER_OF_PRIVATE)
    pair = _Pair.generate()
    _write(pair, folder / "server.key", pair.private, folder / "server.key.pub", force=options.force)


def _make_client(options: argparse.Namespace) -> None:
    """Make NAME.key, for the client's user, and NAME.pem, beside it or where the server looks."""
    if options.server_pub and not options.bundle:
        raise UsageError("--server-pub is for --bundle; give both")
    pair = _Pair.generate()
    key_file = _bundle(pair, options) if options.bundle else pair.private
    folder = options.out or Path()
    make_folder(folder, _FOLDER_OF_PRIVATE)
    clients = options.config_root / "clients" if options.install else folder
    make_folder(clients, _FOLDER_OF_PUBLIC)
    private, public = folder / f"{options.name}.key", clients / f"{options.name}.pem"
    _write(pair, private, key_file, public, force=options.force)


def _bundle(pair: _Pair, options: argparse.Namespace) -> bytes:
    """Return the content of the bundle; raise DataError if a client could not use it."""
    path = options.server_pub or options.config_root / "server.key.pub"
    try:
        server: bytes = path.read_bytes()
    except FileNotFoundError:
        raise MissingInputError(
            f"{path}: no server key there; name its public key with --server-pub"
        ) from None
    except PermissionError:
        raise PermissionDeniedError(f"{path}: you may not read it") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    key_file = server.rstrip() + b"\n" + pair.private
    try:
        find_scheme("hpke").make_requester(key_file)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    return key_file


def _write(pair: _Pair, private: Path, key_file: bytes, public: Path, *, force: bool) -> None:
    """Write both files and say so."""
    files = (NewFile(private, key_file, PRIVATE), NewFile(public, pair.public, PUBLIC))
    write_all(files, overwrite=force)
    sys.stdout.write(f"{private}: private key, keep it secret\n{public}: public key {pair.fingerprint}\n")


if __name__ == "__main__":
    sys.exit(main())
