# SPDX-License-Identifier: MIT
"""``spale-keygen``: make the keys of a server or a client."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import field, frozen
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from spale_core.cli import qr
from spale_core.cli.command import guarded, new_parser
from spale_core.cli.keyshow import CLIENTS, KEY_SUFFIX, SERVER_PUBLIC, show
from spale_core.config.mistakes import shown
from spale_core.config.naming import global_keys, prefix_of
from spale_core.config.values import is_name
from spale_core.errors import DataError, MissingInputError, UsageError
from spale_core.fingerprint import fingerprint
from spale_core.newfiles import PRIVATE, PUBLIC, NewFile, make_folder, write_all
from spale_core.schemes import find_scheme
from spale_core.sending.keys import content_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

PROG = "spale-keygen"

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
    options = build_parser().parse_args(arguments)
    options.run(options)
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command."""
    purpose = "Make X25519 keys, in PEM as OpenSSL reads and writes them, and say what is in such files."
    parser: argparse.ArgumentParser = new_parser(PROG, purpose)
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="server|client|show")
    server = kinds.add_parser(
        "server",
        help="make server.key and server.key.pub",
        description="Make the keys of a server: server.key (private) and server.key.pub (public).",
    )
    client = kinds.add_parser(
        "client",
        help="make NAME.key and NAME.pem",
        description="Make the keys of a client: NAME.key (private), for its user, and NAME.pem (public), for"
        " the server.",
    )
    _add_client_options(client)
    for kind, run in ((server, _make_server), (client, _make_client)):
        kind.add_argument("--out", metavar="DIR", type=Path, help="folder to write to (default: this one)")
        kind.add_argument(
            "--install", action="store_true", help="put what the server needs where it looks for it"
        )
        _add_config_root(kind)
        kind.add_argument("--force", action="store_true", help="replace files that exist")
        kind.set_defaults(run=run)
    _add_show(kinds)
    return parser


def _add_client_options(client: argparse.ArgumentParser) -> None:
    client.add_argument(
        "--name", metavar="NAME", required=True, type=_name, help="how configuration and log call the client"
    )
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
    client.add_argument(
        "--qr", action="store_true", help="print the bundle as a QR code, too, for a phone to read"
    )


def _add_config_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config-root",
        metavar="DIR",
        type=Path,
        default=Path("/etc/spale"),
        help="where the server looks for keys (default: /etc/spale)",
    )


def _add_show(kinds: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = kinds.add_parser(
        "show",
        help="say what is in a key file",
        description="Say what is in a key file (a private key, a public one, or a client's bundle of both),"
        " its fingerprint as log and `spale list clients` have it, and whose key it is if it is installed"
        " here.",
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="any file with keys in PEM")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON instead of text")
    form.add_argument("--qr", action="store_true", help="print a bundle as a QR code, for a phone to read")
    _add_config_root(parser)
    parser.set_defaults(run=show)


def _name(text: str) -> str:
    if not is_name(text):
        raise UsageError(
            f"--name: {shown(text)} cannot be a client's name; up to 64 letters, digits, dots, "
            "underscores and dashes can, the first a letter or digit"
        )
    for key in global_keys().get(prefix_of(text), ()):
        raise UsageError(
            f"--name: {text} would be a client with the key {key} in the configuration, which is a global"
            " one; take another name"
        )
    return text


def _make_server(options: argparse.Namespace) -> None:
    """Make server.key and server.key.pub."""
    if options.install and options.out:
        raise UsageError("--install and --out name two places; give one")
    folder = options.config_root if options.install else options.out or Path()
    make_folder(folder, _FOLDER_OF_PUBLIC if options.install else _FOLDER_OF_PRIVATE)
    pair = _Pair.generate()
    _write(pair, folder / "server.key", pair.private, folder / SERVER_PUBLIC, force=options.force)


def _make_client(options: argparse.Namespace) -> None:
    """Make NAME.key, for the client's user, and NAME.pem, beside it or where the server looks."""
    if options.server_pub and not options.bundle:
        raise UsageError("--server-pub is for --bundle; give both")
    if options.qr and not options.bundle:
        raise UsageError("--qr is for --bundle; give both")
    pair = _Pair.generate()
    key_file = _bundle(pair, options) if options.bundle else pair.private
    picture = qr.draw(key_file) if options.qr else None
    folder = options.out or Path()
    clients = options.config_root / CLIENTS if options.install else folder
    _refuse_taken(options.name, clients)
    make_folder(folder, _FOLDER_OF_PRIVATE)
    make_folder(clients, _FOLDER_OF_PUBLIC)
    private, public = folder / f"{options.name}.key", clients / f"{options.name}{KEY_SUFFIX}"
    _write(pair, private, key_file, public, force=options.force)
    if picture is not None:
        qr.show(picture)


def _refuse_taken(name: str, clients: Path) -> None:
    """Raise UsageError if a server with another client there could not tell their keys apart."""
    for path in sorted(clients.glob(f"*{KEY_SUFFIX}")):
        other = path.name.removesuffix(KEY_SUFFIX)
        if other != name and prefix_of(other) == prefix_of(name):
            raise UsageError(
                f"--name: {name} and {shown(other)}, which {shown(clients)} has, would both be"
                f" {prefix_of(name)} in the configuration; take another name"
            )


def _bundle(pair: _Pair, options: argparse.Namespace) -> bytes:
    """Return the content of the bundle; raise DataError if a client could not use it."""
    path = options.server_pub or options.config_root / SERVER_PUBLIC
    try:
        server, _ = content_of(str(path))
    except MissingInputError:
        raise MissingInputError(
            f"{shown(path)}: no server key there; name its public key with --server-pub"
        ) from None
    key_file = server.rstrip() + b"\n" + pair.private
    try:
        find_scheme("hpke").make_requester(key_file)
    except DataError as error:
        raise DataError(f"{shown(path)}: {error}") from None
    return key_file


def _write(pair: _Pair, private: Path, key_file: bytes, public: Path, *, force: bool) -> None:
    """Write both files and say so."""
    files = (NewFile(private, key_file, PRIVATE), NewFile(public, pair.public, PUBLIC))
    write_all(files, overwrite=force)
    sys.stdout.write(f"{private}: private key, keep it secret\n{public}: public key {pair.fingerprint}\n")


if __name__ == "__main__":
    sys.exit(main())
