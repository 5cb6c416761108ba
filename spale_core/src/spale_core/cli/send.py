# SPDX-License-Identifier: MIT
"""``spale-send``: knock. Everything imported here is waited for by somebody: keep it light (ADR 0021)."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

from spale_core.cli.command import guarded
from spale_core.cli.send_options import PROG, send_parser
from spale_core.config.mistakes import shown
from spale_core.errors import SpaleError, UnavailableError, UsageError
from spale_core.knock import Knock
from spale_core.sending.addresses import resolve
from spale_core.sending.fields import WIRES
from spale_core.sending.keys import read_key, requester
from spale_core.sending.limits import choose, left_out
from spale_core.sending.rounds import Rounds
from spale_core.sending.wish import make_wish

if TYPE_CHECKING:
    import argparse
    import socket
    from collections.abc import Callable, Sequence

    from spale_core.knock import Target
    from spale_core.sending.profiles import Profile
    from spale_core.sending.wish import Wish

_LEAST_WAIT_S: Final = 1.0
"""So long a port is tried even if finding the name took all the time there was."""


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
    began = time.monotonic()
    rounds = _rounds(wish, note)
    if options.dry_run:
        return _preview(wish, rounds)
    if options.verbose:
        _say_clock()
    _first(wish, rounds)
    if wish.waits:
        connection = _opened(wish, rounds, note, began)
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
        raise UsageError(_stray(options.command[0]))
    if cut < len(arguments) and not command:
        raise UsageError("no command behind --")
    if command and options.connect:
        raise UsageError("--connect relays until the end; no command can follow it")
    return options, command


def _stray(word: str) -> str:
    from spale_core.sending.places import profile_root  # noqa: PLC0415 - only for a mistake
    from spale_core.sending.profiles import names  # noqa: PLC0415 - only for a mistake

    try:
        is_profile = word in names(profile_root())
    except SpaleError:
        is_profile = False
    better = f"did you mean -p {word}?" if is_profile else f"see {PROG} --help"
    return f"{shown(word)} is not an option; {better}"


def _profile(name: str | None) -> Profile | None:
    if name is None:
        return None
    from spale_core.sending.places import profile_root  # noqa: PLC0415 - only for -p
    from spale_core.sending.profiles import open_to_others, read  # noqa: PLC0415 - only for -p

    profile = read(profile_root(), name)
    for path in open_to_others(profile):
        _say(f"warning: others may write to {shown(path)}, and so send your knocks elsewhere; chmod go-w it")
    return profile


def _rounds(wish: Wish, note: Callable[[str], None]) -> Rounds:
    made = requester(WIRES[wish.wire], wish.key, read_key(wish.key, _say))
    knock = Knock(made, wish.binding, wish.services, wish.idle_s)
    found = resolve(wish.host, wish.port, wish.family, wish.wait_s if wish.waits else 0)
    targets = choose(wish.host, found, wish.limits)
    left = left_out(found, wish.limits)
    if left:
        # What is relayed to goes to an address that was knocked at; nothing else connects.
        (note if wish.connect else _say)(f"warning: {left}")
    return Rounds(knock, targets, wish.source, _say, note)


def _first(wish: Wish, rounds: Rounds) -> None:
    """Knock; where a port is waited for, a network that is just coming up is no reason to give up."""
    try:
        rounds.first()
    except UnavailableError as error:
        if not wish.waits:
            raise
        _say(f"{error}; trying again for {wish.wait_s} s")


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


def _opened(wish: Wish, rounds: Rounds, note: Callable[[str], None], began: float) -> socket.socket:
    """Return a connection to the port that was to open; raise UnavailableError, saying what it was like.

    `began` is when the wait did, by the monotonic clock: finding the name is part of it.
    """
    from spale_core.sending.waiting import Wait, knock_pauses  # noqa: PLC0415 - only for --wait and --connect

    knocked = time.monotonic()
    host, port = wish.connect or (wish.host, wish.wait or 0)
    source = None if wish.source is None else wish.source.address
    left_s = began + wish.wait_s - knocked
    wait = Wait(_doors(wish, host, port, rounds, left_s), source, rounds.again, knock_pauses(wish.rounds))
    try:
        connection = wait.connection(max(began + wish.wait_s - time.monotonic(), _LEAST_WAIT_S))
    except UnavailableError as error:
        waited = time.monotonic() - began
        if note is _ignore:
            _say_clock()
        raise UnavailableError(f"{shown(host)} port {port} did not open in {waited:.1f} s: {error}") from None
    address = connection.getpeername()[0]
    note(f"{address} port {port} was open {1000 * (time.monotonic() - knocked):.0f} ms after the knock")
    return connection


def _doors(wish: Wish, host: str, port: int, rounds: Rounds, patience_s: float) -> list[Target]:
    """Return where the port is to open: at what was knocked at, unless another host is named.

    For that one's addresses it is asked `patience_s` s at most while nobody answers.
    """
    if host == wish.host:
        return [target.at(port) for target in rounds.targets]
    return list(choose(host, resolve(host, port, wish.family, patience_s), wish.limits))


def _relay(connection: socket.socket) -> int:
    from spale_core.sending.relay import Relay  # noqa: PLC0415 - only for --connect

    with connection:
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
