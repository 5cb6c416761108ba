# SPDX-License-Identifier: MIT
"""How the commands find the running daemon's socket, ask over it, and print what it says."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spale_core.cli.options import DEFAULT_CONFIG, add_config_option
from spale_core.cli.tables import plain
from spale_core.config.files import read_trusted
from spale_core.config.keys import by_key
from spale_core.config.mistakes import BadValueError, Mistakes
from spale_core.config.reader import environment_entries, file_entries, option_entries
from spale_core.config.settings import own_path
from spale_core.config.values import NAME, refuse_control_characters
from spale_core.control.client import Client
from spale_core.errors import ConfigError, SpaleError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Mapping

    from spale_core.config.reader import Entry
    from spale_core.config.values import Kind

_KEY = "SOCKET"


def add_socket_options(parser: argparse.ArgumentParser) -> None:
    """Declare what every command has that asks the daemon."""
    default = by_key()[_KEY].default
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.add_argument("--socket", metavar="PATH", help=f"the daemon's socket [{_KEY}] (default: {default})")
    parser.add_argument("--name", metavar="NAME", help="the daemon's name, if it has one")
    add_config_option(parser)


@contextmanager
def connected(arguments: argparse.Namespace) -> Iterator[Client]:
    """Hold a connection to the daemon; raise SpaleError, whose words may be printed, if there is none."""
    try:
        with Client.connect(socket_path(arguments, os.environ)) as client:
            yield client
    except SpaleError as error:
        lines = str(error).split("\n")
        raise type(error)("\n".join(map(plain, lines))) from error


def ask(arguments: argparse.Namespace, method: str, **params: object) -> Any:  # noqa: ANN401 - each method has its own result
    """Return the daemon's answer; raise the SpaleError that says why there is none."""
    with connected(arguments) as client:
        return client.call(method, **params)


def show(arguments: argparse.Namespace, result: object, lines: Iterable[str]) -> int:
    """Print `result` as JSON, or `lines` for people, as was asked for; return 0."""
    printed = [json.dumps(result, indent=2)] if arguments.json else lines
    sys.stdout.write("".join(f"{line}\n" for line in printed))
    return 0


def socket_path(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Path:
    """Return where a daemon with these options, this environment and this file has its socket.

    Of the file nothing else is judged, and one that is not named may be missing or unreadable: whoever may
    only read over the socket need not be able to read it. Raise ConfigError.
    """
    definition = by_key()[_KEY]
    found = next((entry for entry in _entries(arguments, environ) if entry.key == _KEY), None)
    label, text = ("", definition.default) if found is None else (found.label, found.text)
    path = _read(definition.kind, label, text or "")
    name = None if arguments.name is None else _read(NAME, "--name", arguments.name)
    return own_path(path, name)


def _read(kind: Kind, label: str, text: str) -> Any:  # noqa: ANN401 - each kind has its own type
    try:
        refuse_control_characters(text)
        return kind.read(text)
    except BadValueError as error:
        raise ConfigError(f"{label}: {error}") from None


def _entries(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Iterator[Entry]:
    """Return what is said of the socket, the strongest first."""
    given = {} if arguments.socket is None else {_KEY: arguments.socket}
    return chain(option_entries(given), environment_entries(environ), _file_entries(arguments.config))


def _file_entries(named: str | None) -> Iterator[Entry]:
    path = Path(named or DEFAULT_CONFIG).absolute()
    try:
        content = read_trusted(path)
    except BadValueError as error:
        if named is not None:
            raise ConfigError(f"--config: {error}") from None
        return
    # Mistakes in its lines are for `spale check` to tell.
    yield from (entry for entry in file_entries(path, content, Mistakes()) if entry.text)
