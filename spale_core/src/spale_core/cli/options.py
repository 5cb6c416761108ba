# SPDX-License-Identifier: MIT
"""The options of `spale run` and `spale check`: one for each key of the configuration that has one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from spale_core import config
from spale_core.config.keys import DEFINITIONS
from spale_core.errors import ConfigError

if TYPE_CHECKING:
    import argparse

    from spale_core.config.definitions import Definition
    from spale_core.config.server_keys import Look
    from spale_core.config.settings import Settings

DEFAULT_CONFIG = "/etc/spale/spale.conf"


def add_config_option(parser: argparse.ArgumentParser) -> None:
    """Declare ``--config``."""
    parser.add_argument(
        "-c", "--config", metavar="PATH", help=f"configuration file (default: {DEFAULT_CONFIG})"
    )


def add_configuration_options(parser: argparse.ArgumentParser) -> None:
    """Declare an option for each key; values stay text, so that every mistake can be named at once."""
    add_config_option(parser)
    for definition in DEFINITIONS:
        if definition.options:
            _add(parser, definition)


def _add(parser: argparse.ArgumentParser, definition: Definition) -> None:
    key = "" if definition.option_only else f" [{definition.key}]"
    help_text = f"{definition.help}{_default(definition)}{key}".replace("%", "%%")
    if definition.metavar:
        action = "append" if definition.repeatable else "store"
        parser.add_argument(
            *definition.options,
            dest=definition.key,
            action=action,
            metavar=definition.metavar,
            help=help_text,
        )
        return
    parser.add_argument(
        *definition.options, dest=definition.key, action="store_const", const="1", help=help_text
    )
    if definition.off is not None:
        parser.add_argument(
            definition.off, dest=definition.key, action="store_const", const="0", help=f"[{definition.key}=0]"
        )


def _default(definition: Definition) -> str:
    if definition.required:
        return " (required)"
    return f" (default: {definition.default})" if definition.default else ""


def given_options(arguments: argparse.Namespace) -> dict[str, str]:
    """Return what the command line gave, as text by key."""
    given = {}
    for definition in DEFINITIONS:
        value = getattr(arguments, definition.key, None)
        if value is not None:
            given[definition.key] = value if isinstance(value, str) else ",".join(value)
    return given


def read_settings(arguments: argparse.Namespace, look: Look | None = None) -> Settings:
    """Return what options, environment and file say together; raise ConfigError, a line for each mistake."""
    path = None if arguments.config is None else Path(arguments.config)
    return config.load(given_options(arguments), os.environ, path, look)


def load_settings(arguments: argparse.Namespace, look: Look | None = None) -> Settings:
    """Return the same; raise ConfigError that says how many mistakes there are, too."""
    try:
        return read_settings(arguments, look)
    except ConfigError as error:
        mistakes = str(error).count("\n") + 1
        noun = "mistake" if mistakes == 1 else "mistakes"
        raise type(error)(f"{mistakes} {noun} in the configuration:\n{error}") from None
