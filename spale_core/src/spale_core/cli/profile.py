# SPDX-License-Identifier: MIT
"""``spale-send profile``: what a user knocks at often, under a name."""

from __future__ import annotations

import json
import socket
import sys
from typing import TYPE_CHECKING, Any, Final

from spale_core.cli.command import CommandParser
from spale_core.cli.send_options import PROG, add_key
from spale_core.config.mistakes import shown
from spale_core.errors import DataError, SpaleError, UsageError
from spale_core.fingerprint import fingerprint
from spale_core.keyfile import KeyKind, read_key_file
from spale_core.sending import folders, profiles
from spale_core.sending.addresses import refuse_other_forms
from spale_core.sending.fields import FIELDS, WIRES
from spale_core.sending.keys import read_key, requester
from spale_core.sending.limits import Said, find_limits, refuse_version_1
from spale_core.sending.places import profile_root

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

    from spale_core.sending.profiles import Profile

_NEEDED: Final = ("HOST", "PORT")


def profile_parser() -> argparse.ArgumentParser:
    """Return the parser of what stands behind ``spale-send profile``."""
    parser = CommandParser(
        prog=f"{PROG} profile",
        description="Keep under a name what spale-send -p NAME takes: a folder with the files config and key "
        "in $XDG_CONFIG_HOME/spale or ~/.config/spale (macOS: ~/Library/Application Support/spale, Windows: "
        "%%APPDATA%%\\spale).",
    )
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="create|list|show|set|delete")
    _add_changing(kinds.add_parser("create", help="make a profile", description="Make a profile."), _create)
    listing = kinds.add_parser("list", help="list all", description="List all profiles.")
    listing.set_defaults(do=_list)
    showing = kinds.add_parser(
        "show",
        help="say what is in one",
        description="Say what is in a profile; of its keys the fingerprints.",
    )
    showing.add_argument("name", metavar="NAME")
    showing.set_defaults(do=_show)
    for each in (listing, showing):
        each.add_argument("--json", action="store_true", help="print JSON")
    changing = kinds.add_parser(
        "set",
        help="change one",
        description='Change a profile. An empty value, as in --source "", takes one away.',
    )
    _add_changing(changing, _set)
    deleting = kinds.add_parser("delete", help="remove one", description="Remove a profile with its key.")
    deleting.add_argument("name", metavar="NAME")
    deleting.add_argument("-y", "--yes", action="store_true", help="do not ask")
    deleting.set_defaults(do=_delete)
    return parser


def run(arguments: Sequence[str]) -> int:
    """Do what `arguments` say and return the exit code; raise SpaleError."""
    options = profile_parser().parse_args(arguments)
    options.do(options)
    return 0


def _add_changing(parser: argparse.ArgumentParser, do: Callable[[argparse.Namespace], None]) -> None:
    parser.add_argument("name", metavar="NAME")
    add_key(parser)
    for field in FIELDS:
        parser.add_argument(field.option, metavar=field.metavar, type=_kept(field.read), help=field.words)
    parser.set_defaults(do=do)


def _kept(read: Callable[[str], Any]) -> Callable[[str], str]:
    """Return an argparse type that judges a text as `read` does, or finds it empty, and keeps it."""

    def judge(text: str) -> str:
        if not text.isprintable():
            raise UsageError(f"{shown(text)}: a line of a profile cannot hold that")
        if text:
            read(text)
        return text

    return judge


def _create(options: argparse.Namespace) -> None:
    profiles.check_name(options.name)
    texts = _changed({}, options)
    missing = [f"--{key.lower()}" for key in _NEEDED if key not in texts]
    missing += ["--key"] if options.key is None else []
    if missing:
        raise UsageError(f"{', '.join(missing)} missing; see {PROG} profile create --help")
    _refuse_contradictions(texts)
    folder = folders.create(profile_root(), options.name, texts, _key(options.key))
    sys.stdout.write(f"{shown(folder)}: made; knock with {PROG} -p {options.name}\n")


def _set(options: argparse.Namespace) -> None:
    profile = profiles.read(profile_root(), options.name)
    texts = _changed(profile.texts, options)
    lost = [f"--{key.lower()}" for key in _NEEDED if key in profile.texts and key not in texts]
    if lost:
        raise UsageError(f"{', '.join(lost)}: a profile needs it; give a value")
    if texts == profile.texts and options.key is None:
        raise UsageError(f"nothing to change; see {PROG} profile set --help")
    if texts != profile.texts:
        _refuse_contradictions(texts)
    folders.change(profile_root(), options.name, texts, None if options.key is None else _key(options.key))


def _changed(texts: Mapping[str, str], options: argparse.Namespace) -> dict[str, str]:
    """Return `texts` with what the options give; what they leave empty is gone."""
    given = {field.key: getattr(options, field.attribute) for field in FIELDS}
    after = {**texts, **{key: text for key, text in given.items() if text is not None}}
    return {key: text for key, text in after.items() if text}


def _refuse_contradictions(texts: Mapping[str, str]) -> None:
    """Raise UsageError for keys that exclude each other, and for a host that is written as in a URL."""
    said = {
        field.attribute: Said(field.key, field.read(texts[field.key]))
        for field in FIELDS
        if field.key in texts
    }
    refuse_version_1(said)
    find_limits(said, socket.AF_UNSPEC)
    refuse_other_forms(texts.get("HOST", ""))


def _key(path: str) -> bytes:
    """Return the content of a key file that a client can knock with; raise SpaleError."""
    content = read_key(path, _say)
    requester(WIRES["v2"], path, content)
    return content


def _list(options: argparse.Namespace) -> None:
    root = profile_root()
    found = [_summary(root, name) for name in profiles.names(root)]
    if options.json:
        sys.stdout.write(json.dumps({"root": root, "profiles": found}, indent=2) + "\n")
        return
    for each in found:
        sys.stdout.write(f"{each['name']}  {each.get('error') or _place(each)}\n")
    if not found:
        _say(f"no profile in {shown(root)}; {PROG} profile create makes one")


def _summary(root: str, name: str) -> dict[str, Any]:
    """Return what a list says of a profile; a broken one hides no other."""
    try:
        values = profiles.read(root, name).values()
    except SpaleError as error:
        return {"name": name, "error": str(error)}
    return {"name": name, "host": values.get("host"), "port": values.get("port")}


def _place(summary: dict[str, Any]) -> str:
    return f"{shown(summary['host'] or '-')} port {summary['port'] or '-'}"


def _show(options: argparse.Namespace) -> None:
    profile = profiles.read(profile_root(), options.name)
    fingerprints = _fingerprints(profile)
    if options.json:
        document = {"name": profile.name, "folder": profile.folder, "config": profile.texts, **fingerprints}
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return
    lines = [f"{key}={text}" for key, text in sorted(profile.texts.items())]
    lines += [f"{name.replace('_', ' ')}: {value}" for name, value in fingerprints.items()]
    sys.stdout.write("\n".join([f"{shown(profile.folder)}:", *lines, ""]))


def _fingerprints(profile: Profile) -> dict[str, str]:
    """Return the fingerprints of the client's and the server's key, as the log has them."""
    content = read_key(profile.key_path, _say)
    try:
        keys = read_key_file(content)
    except DataError as error:
        raise DataError(f"{shown(profile.key_path)} {error}") from None
    if keys.kind is not KeyKind.BUNDLE or keys.server_key is None:
        raise DataError(
            f"{shown(profile.key_path)} holds a {keys.kind.value} key only; "
            f"{PROG} profile set {profile.name} --key FILE takes one with both"
        )
    return {"client_key": fingerprint(keys.public_key), "server_key": fingerprint(keys.server_key)}


def _delete(options: argparse.Namespace) -> None:
    name = profiles.check_name(options.name)
    folders.find(profile_root(), name)
    if not options.yes and not _agreed(f"remove the profile {name} and its key? [y/N] "):
        raise UsageError(f"{name} was not removed; -y removes it without a question")
    folders.delete(profile_root(), name)


def _agreed(question: str) -> bool:
    """Ask somebody at a terminal; where nobody can answer, nobody agrees."""
    if not sys.stdin.isatty():
        return False
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _say(text: str) -> None:
    sys.stderr.write(f"{PROG}: {text}\n")
