# SPDX-License-Identifier: MIT
"""``spale-send``: knock. Everything imported here is waited for by somebody: keep it light."""

from __future__ import annotations

import os
import socket
import stat
import sys
import time
from ipaddress import ip_address
from typing import TYPE_CHECKING, cast

from spale_core.cli.command import guarded, new_parser, not_yet, whole_number
from spale_core.config.mistakes import BadValueError, shown
from spale_core.config.ports import parse_services
from spale_core.errors import (
    DataError,
    MissingInputError,
    PermissionDeniedError,
    UnavailableError,
    UsageError,
)
from spale_core.knock import Binding, Knock, Target, choose_targets
from spale_core.schemes import find_scheme

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from spale_core.interfaces import Requester
    from spale_core.knock import SocketAddress
    from spale_core.model import Address, Service

PROG = "spale-send"

PAUSE_S = 0.2
"""Between the rounds of --count: they help against loss, which comes in bursts."""

_MAX_COUNT = 100
_MAX_KEY_FILE = 65536
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_LATER = {
    "profile": "profiles (-p)",
    "wait": "--wait",
    "connect": "--connect",
    "dry_run": "--dry-run",
    "command": "running a command after the knock",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run spale-send with `arguments` (default: the command line's); return the exit code."""
    return guarded(PROG, _run, arguments)


def _run(arguments: Sequence[str]) -> int:
    if arguments and arguments[0] == "profile":
        not_yet("profiles")
    options = _parser().parse_args(arguments)
    _refuse_later(options, arguments)
    binding, sender = Binding.parse(options.bind_source), _sender(options.source)
    knock = Knock(_requester(options.key), binding, _services(options.services), options.idle_sec)
    targets = choose_targets(_resolve(options.host, options.port, options.family), (binding.address, sender))
    for turn in range(options.count):
        if turn:
            time.sleep(PAUSE_S)
        _send_to_all(knock, targets, sender, verbose=options.verbose)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = new_parser(
        PROG,
        "Send one authenticated UDP datagram (a knock) to each address of a host, so that its protected "
        "ports open for the address that it came from. Nothing ever answers.",
    )
    parser.add_argument(
        "--host", metavar="H", help="name or address to knock at; each of its addresses is, up to 8"
    )
    parser.add_argument("--port", metavar="P", type=whole_number(1, 65535), help="its SPA port")
    parser.add_argument(
        "--key", metavar="FILE", help="the server's public and your private key in PEM, in any order"
    )
    parser.add_argument(
        "--bind-source",
        metavar="auto|off|ADDR|PREFIX",
        default="auto",
        help="open only for the address that is claimed here; auto (the default): the one this host sends "
        "from, if that is globally routable",
    )
    parser.add_argument(
        "--services", metavar="LIST", help="ask only for these, such as 22/tcp,51820/udp (default: all)"
    )
    parser.add_argument(
        "--idle-sec",
        metavar="N",
        type=whole_number(0, 65535),
        default=0,
        help="ask for a shorter idle window than the server's",
    )
    parser.add_argument("--source", metavar="ADDR", help="local address to send from")
    parser.add_argument(
        "--count",
        metavar="N",
        type=whole_number(1, _MAX_COUNT),
        default=1,
        help=f"knock N times, {PAUSE_S:g} s apart, where datagrams get lost (default: 1)",
    )
    parser.add_argument(
        "--step",
        metavar="30",
        type=whole_number(30, 30),
        help="length of a time step; only 30, for old scripts",
    )
    family = parser.add_mutually_exclusive_group()
    for version, kind in ((4, socket.AF_INET), (6, socket.AF_INET6)):
        family.add_argument(
            f"-{version}",
            dest="family",
            action="store_const",
            const=kind,
            help=f"knock at IPv{version} addresses only",
        )
    parser.add_argument("-v", "--verbose", action="store_true", help="say what is sent where")
    _add_later(parser)
    parser.set_defaults(family=socket.AF_UNSPEC)
    return parser


def _add_later(parser: argparse.ArgumentParser) -> None:
    later = parser.add_argument_group("not yet in this version")
    later.add_argument("-p", "--profile", metavar="PROFILE", help="take host, port and key from a profile")
    later.add_argument(
        "--wire", choices=("v2", "v1"), default="v2", help="version of the datagram; v1 is not yet there"
    )
    later.add_argument("--wait", metavar="PORT", help="return when a connection to PORT succeeds")
    later.add_argument(
        "--connect", nargs=2, metavar=("HOST", "PORT"), help="knock, then relay, for ProxyCommand"
    )
    later.add_argument("--dry-run", action="store_true", help="say what would be sent")
    later.add_argument("command", nargs="*", metavar="-- CMD", help="knock, then run CMD")


def _refuse_later(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    """Raise NotYetError for what a later version does, UsageError for what is missing."""
    if options.wire == "v1":
        not_yet("--wire v1")
    if options.command and "--" not in arguments:
        raise UsageError(f"{shown(options.command[0])} is not an option; see {PROG} --help")
    for name, words in _LATER.items():
        if getattr(options, name):
            not_yet(words)
    missing = [f"--{name}" for name in ("host", "port", "key") if getattr(options, name) is None]
    if missing:
        raise UsageError(f"{', '.join(missing)} missing; see {PROG} --help")


def _services(text: str | None) -> tuple[Service, ...]:
    if text is None:
        return ()
    try:
        return tuple(sorted(parse_services(text)))
    except BadValueError as error:
        raise UsageError(f"--services: {error}") from None


def _sender(text: str | None) -> Address | None:
    try:
        return None if text is None else ip_address(text)
    except ValueError:
        raise UsageError(f"--source: {shown(text)} is not an address; write one of this host's") from None


def _requester(path: str) -> Requester:
    key_file = _read_key(path)
    try:
        return find_scheme("hpke").make_requester(key_file)
    except DataError as error:
        raise DataError(f"{shown(path)}: {error}") from None


def _read_key(path: str) -> bytes:
    """Return the content of the key file; warn if others may read it."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib is not otherwise needed here
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(_MAX_KEY_FILE + 1)
    except FileNotFoundError:
        raise MissingInputError(
            f"{shown(path)}: there is no such key file; make one with spale-keygen"
        ) from None
    except PermissionError:
        raise PermissionDeniedError(f"{shown(path)}: you may not read this key file") from None
    except OSError as error:
        raise DataError(f"{shown(path)}: {error.strerror}") from None
    if len(content) > _MAX_KEY_FILE:
        raise DataError(f"{shown(path)}: too large for a key file")
    if os.name == "posix" and mode & _OTHERS:
        now = f"{stat.S_IMODE(mode):04o}"
        _say(f"warning: {shown(path)} is open to others (mode {now}); chmod 600 {shown(path)}")
    return content


def _resolve(host: str, port: int, family: socket.AddressFamily) -> list[Target]:
    try:
        found = socket.getaddrinfo(host, port, family, socket.SOCK_DGRAM)
    except socket.gaierror as error:
        raise UnavailableError(f"{shown(host)}: the name does not resolve: {error.strerror}") from None
    except UnicodeError:
        raise UsageError(f"{shown(host)}: not a host name") from None
    return [Target(_unscoped(str(where[0])), cast("SocketAddress", where)) for *_, where in found]


def _unscoped(text: str) -> Address:
    """Return an address without the interface that a link-local one is on."""
    return ip_address(text.partition("%")[0])


def _send_to_all(knock: Knock, targets: Sequence[Target], sender: Address | None, *, verbose: bool) -> None:
    """Send to every target; one family may be unreachable, so only raise UnavailableError if all are."""
    failures = []
    for target in targets:
        try:
            local = _send(knock, target, sender)
        except OSError as error:
            failures.append(f"{target.address}: {error.strerror or error}")
            if verbose:
                _say(f"not sent to {failures[-1]}")
            continue
        if verbose:
            _say(f"sent to {target.address} from {local}, {knock.binding.described(local)}")
    if len(failures) == len(targets):
        raise UnavailableError(f"nothing could be sent: {'; '.join(failures)}")


def _send(knock: Knock, target: Target, sender: Address | None) -> Address:
    """Send one datagram from a socket of its own; return the local address. Raise OSError."""
    family = socket.AF_INET if target.address.version == 4 else socket.AF_INET6  # noqa: PLR2004 - the family's name
    with socket.socket(family, socket.SOCK_DGRAM) as channel:
        if sender is not None:
            channel.bind((str(sender), 0))
        channel.connect(target.socket_address)
        local = _unscoped(channel.getsockname()[0])
        channel.send(knock.datagram(local, time.time_ns() // 1_000_000))
    return local


def _say(text: str) -> None:
    sys.stderr.write(f"{PROG}: {text}\n")


if __name__ == "__main__":
    sys.exit(main())
