# SPDX-License-Identifier: MIT
"""``spale-send``: knock. Everything imported here is waited for by somebody: keep it light (ADR 0021)."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from spale_core.cli.command import guarded
from spale_core.cli.send_options import PROG, send_parser
from spale_core.config.mistakes import shown
from spale_core.errors import UnavailableError, UsageError
from spale_core.knock import Knock, choose_targets
from spale_core.sending.addresses import resolve
from spale_core.sending.fields import WIRES
from spale_core.sending.keys import read_key, requester
from spale_core.sending.rounds import Rounds
from spale_core.sending.wish import make_wish

if TYPE_CHECKING:
    import argparse
    import socket
    from collections.abc import Callable, Sequence

    from spale_core.knock import Target
    from spale_core.sending.profiles import Profile
    from spale_core.sending.wish import Wish


def main(arguments: Sequence[str] | None = None) -> int:
    """Run spale-send with `arguments` (default: the command line's); return the exit code."""
    return guarded(PROG, _run, arguments)


def parsers() -> tuple[argparse.ArgumentParser, ...]:
    """Return the parsers of ``spale-send`` and of ``spale-send profile``, for who describes their options."""
    from spale_core.cli.profile import profile_parser  # noqa: PLC0415 - no knock needs it

    return send_parser(), profile_parser()


def _run(arguments: Sequence[str]) -> int:
    if arguments and arguments[0] == "profile":
        from spale_core.cli.profile import run  # noqa: PLC0415 - no knock needs it

        return run(arguments[1:])
    options, command = _parsed(arguments)
    wish = make_wish(options, _profile(options.profile))
    note = _say if options.verbose else _ignore
    rounds = _rounds(wish, note)
    if options.dry_run:
        return _preview(wish, rounds)
    if options.verbose:
        _say_clock()
    rounds.first()
    if wish.wait or wish.connect:
        connection = _opened(wish, rounds, note)
        if wish.connect:
            return _relay(connection)
        connection.close()
    else:
        _more_rounds(wish, rounds)
    return _became(command) if command else 0


def _parsed(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Return the options, and the command behind ``--``; raise UsageError."""
    cut = list(arguments).index("--") if "--" in arguments else len(arguments)
    options, command = send_parser().parse_args(arguments[:cut]), list(arguments[cut + 1 :])
    if options.command:
        raise UsageError(f"{shown(options.command[0])} is not an option; see {PROG} --help")
    if cut < len(arguments) and not command:
        raise UsageError("no command behind --")
    if command and options.connect:
        raise UsageError("--connect relays until the end; no command can follow it")
    return options, command


def _profile(name: str | None) -> Profile | None:
    if name is None:
        return None
    from spale_core.sending.places import profile_root  # noqa: PLC0415 - only for -p
    from spale_core.sending.profiles import read  # noqa: PLC0415 - the same

    return read(profile_root(), name)


def _rounds(wish: Wish, note: Callable[[str], None]) -> Rounds:
    made = requester(WIRES[wish.wire], wish.key, read_key(wish.key, _say))
    knock = Knock(made, wish.binding, wish.services, wish.idle_s)
    found = resolve(wish.host, wish.port, wish.family)
    return Rounds(knock, choose_targets(found, (wish.binding.address, wish.source)), wish.source, _say, note)


def _preview(wish: Wish, rounds: Rounds) -> int:
    """Say what would be sent where: no secrets, and not the datagram, since that would open."""
    services = ", ".join(map(str, wish.services)) or "all services"
    idle = f", an idle window of {wish.idle_s} s" if wish.idle_s else ""
    for target, local, length in rounds.preview():
        sys.stdout.write(
            f"would send {length} bytes to {target.address} port {wish.port} from {local}, "
            f"{wish.binding.described(local)}: {services}{idle}\n"
        )
    return 0


def _opened(wish: Wish, rounds: Rounds, note: Callable[[str], None]) -> socket.socket:
    """Return a connection to the port that was to open; raise UnavailableError, saying what it was like."""
    from spale_core.sending.waiting import Wait, knock_pauses  # noqa: PLC0415 - only for --wait and --connect

    began = time.monotonic()
    host, port = wish.connect or (wish.host, wish.wait or 0)
    try:
        connection = Wait(
            _doors(wish, host, port, rounds), wish.source, rounds.again, knock_pauses(wish.rounds)
        ).connection(wish.wait_s)
    except UnavailableError as error:
        waited = time.monotonic() - began
        if note is _ignore:
            _say_clock()
        raise UnavailableError(f"{shown(host)} port {port} did not open in {waited:.1f} s: {error}") from None
    address = connection.getpeername()[0]
    note(f"{address} port {port} was open {1000 * (time.monotonic() - began):.0f} ms after the knock")
    return connection


def _doors(wish: Wish, host: str, port: int, rounds: Rounds) -> list[Target]:
    """Return where the port is to open: at what was knocked at, unless another host is named."""
    if host == wish.host:
        return [target.at(port) for target in rounds.targets]
    return list(choose_targets(resolve(host, port, wish.family), (wish.binding.address, wish.source)))


def _relay(connection: socket.socket) -> int:
    from spale_core.sending.relay import Relay  # noqa: PLC0415 - only for --connect

    Relay(connection).run()
    return 0


def _more_rounds(wish: Wish, rounds: Rounds) -> None:
    if wish.rounds > 1:
        from spale_core.sending.waiting import PAUSE_S  # noqa: PLC0415 - only for --count

        for _ in range(wish.rounds - 1):
            time.sleep(PAUSE_S)
            rounds.again()


def _became(command: list[str]) -> int:
    from spale_core.sending.handover import become  # noqa: PLC0415 - only for -- CMD

    return become(command, _say)


def _say_clock() -> None:
    from spale_core.sending.clockwords import clock_words  # noqa: PLC0415 - only for -v and mistakes

    words = clock_words()
    if words:
        _say(f"warning: {words}")


def _say(text: str) -> None:
    sys.stderr.write(f"{PROG}: {text}\n")


def _ignore(_text: str) -> None:
    """Say nothing."""


if __name__ == "__main__":
    sys.exit(main())
