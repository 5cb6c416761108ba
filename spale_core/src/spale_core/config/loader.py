# SPDX-License-Identifier: MIT
"""File, environment and options become one `Settings`, or one error that names every mistake."""

from __future__ import annotations

import os
import time
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve

from spale_core import plugins
from spale_core.collector import resting
from spale_core.config import host, server_keys
from spale_core.config.client_keys import ClientKeys, client_settings
from spale_core.config.clients import find_clients
from spale_core.config.draft import Draft
from spale_core.config.files import read_trusted
from spale_core.config.keys import DEFINITIONS
from spale_core.config.mistakes import BadValueError, Mistakes, shown
from spale_core.config.reader import environment_entries, file_entries, option_entries
from spale_core.config.relations import judge_relations
from spale_core.config.settings import Settings
from spale_core.config.warnings import find_warnings

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from spale_core.config.reader import Entry
    from spale_core.config.server_keys import Look
    from spale_core.config.settings import ClientSettings

DEFAULT_PATH = Path("/etc/spale/spale.conf")


def load(
    options: Mapping[str, str],
    environ: Mapping[str, str],
    path: Path | None = None,
    *,
    available: Collection[str] | None = None,
    look: Look = server_keys.look,
) -> Settings:
    """Return the configuration that holds: an option wins over the environment, that over the file.

    `options` has what the command line gave, as text by key (IFACE, ...). `path` None means DEFAULT_PATH,
    which need not exist. `available` names the installed plugins (None: look), and ``look(path)`` returns the
    public half of a server's key. Raises ConfigError with every mistake.
    """
    mistakes = Mistakes()
    file = (path or DEFAULT_PATH).absolute()
    draft = Draft(file, mistakes)
    content = _read_file(file, mistakes, optional=path is None)
    rest = draft.take(
        chain(
            option_entries(options),
            environment_entries(environ),
            file_entries(file, content or b"", mistakes),
        )
    )
    if content is None:
        mistakes.raise_all()  # what the file would have said is unknown, so nothing more can be judged
    draft.require()
    judge_relations(draft)
    with resting():
        clients = _judge_host(draft, rest, look)
    dataplane = host.judge_plugins(
        draft, [each.name for each in plugins.installed()] if available is None else available
    )
    mistakes.raise_all()
    return _settings(draft, clients, dataplane, file if os.path.lexists(file) else None)


def _read_file(path: Path, mistakes: Mistakes, *, optional: bool) -> bytes | None:
    if optional and not os.path.lexists(path):
        return b""
    try:
        return read_trusted(path)
    except BadValueError as error:
        mistakes.add("--config", str(error))
        return None


def _judge_host(draft: Draft, rest: list[Entry], look: Look) -> tuple[ClientSettings, ...]:
    host.judge_interfaces(draft)
    host.judge_folders(draft)
    host.judge_socket(draft)
    host.judge_user(draft)
    host.judge_loader(draft)
    found = find_clients(draft, host.judge_server_keys(draft, look))
    keys = ClientKeys(draft, found)
    keys.take(rest)
    if found is not None and not found and draft.value("ALWAYS_ALLOW") == ():
        folder = shown(draft.value("CLIENTS_DIR"))
        draft.add(
            "CLIENTS_DIR",
            f"{folder} has no client (NAME.pem), nor is there an ALWAYS_ALLOW: nobody could ever get in; "
            "add one with `spale-keygen client --install`",
        )
    return client_settings(draft, keys, found or ())


def _settings(
    draft: Draft, clients: tuple[ClientSettings, ...], dataplane: str, file: Path | None
) -> Settings:
    values: dict[str, Any] = {
        each.field: draft.value(each.key) for each in DEFINITIONS if each.field is not None
    }
    values["dataplane"] = dataplane
    settings = Settings(**values, clients=clients, config_path=file)
    return evolve(settings, warnings=find_warnings(settings, time.time_ns() // 1_000_000))
