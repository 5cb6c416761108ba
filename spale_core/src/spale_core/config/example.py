# SPDX-License-Identifier: MIT
"""`spale.conf.example` and the tables of the documentation, generated from the definitions."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from spale_core.config.keys import CLIENT_DEFINITIONS, DEFINITIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spale_core.config.definitions import Definition

_WIDTH = 100
_CLIENT = "ADMIN"

_HEAD = """\
# /etc/spale/spale.conf: what the daemon protects, for whom and how long.
#
# KEY=VALUE, one a line. # begins a comment, at the start of a line or after a blank; a value in "double"
# or 'single' quotes is taken as it is. Lists are separated by commas. A key may stand here once. Only the
# first keys must be set; what is commented out shows the default, or an example. `spale check` names every
# mistake and attaches nothing.
#
# An option of `spale run` wins over the environment (SPALE_KEY, then KEY), and that over this file.
# Nobody but root may write this file, the keys or a folder above them.
"""

_CLIENTS_HEAD = """\
# For one client, here only. NAME is its key's file name without .pem, in capitals, every other character
# an underscore: home-laptop.pem is HOME_LAPTOP. These lines are for a client admin.pem.
"""


def write_example() -> str:
    """Return the text of spale.conf.example."""
    keys = [each for each in DEFINITIONS if not each.option_only]
    required = [_entry(each) for each in keys if each.required]
    others = [_entry(each) for each in keys if not each.required]
    clients = "\n".join(
        f"{_comment(each.help + _later(each.later))}#{_CLIENT}_{each.suffix}={each.example}"
        for each in CLIENT_DEFINITIONS
    )
    return "\n".join([_HEAD, *required, *others, _CLIENTS_HEAD + clients, ""])


def _entry(definition: Definition) -> str:
    options = f" [{', '.join(_spellings(definition))}]" if definition.options else ""
    value = definition.default if definition.example is None else definition.example
    sign = "" if definition.required else "#"
    words = f"{definition.help}{_later(definition.later)}{options}"
    return f"{_comment(words)}{sign}{definition.key}={value}\n"


def _spellings(definition: Definition) -> Iterator[str]:
    yield from definition.options
    if definition.off is not None:
        yield definition.off


def _later(words: str) -> str:
    return f" (not yet: {words})" if words else ""


def _comment(words: str) -> str:
    sentence = words[0].upper() + words[1:]
    return "".join(f"# {line}\n" for line in textwrap.wrap(sentence, _WIDTH - 2, break_on_hyphens=False))


def write_table() -> str:
    """Return the tables of docs/configuration.md: every key, and every client's key."""
    rows = [
        f"| `{each.key}`{_alias(each)} | {_options_cell(each)} | {_default_cell(each)} "
        f"| {_help_cell(each.help, each.later)} |"
        for each in DEFINITIONS
    ]
    client_rows = [
        f"| `NAME_{each.suffix}` | `{each.example}` | {_help_cell(each.help, each.later)} |"
        for each in CLIENT_DEFINITIONS
    ]
    return "\n".join(
        [
            "| key | option | default | what it says |",
            "|---|---|---|---|",
            *rows,
            "",
            "| key | example | what it says |",
            "|---|---|---|",
            *client_rows,
            "",
        ]
    )


def _alias(definition: Definition) -> str:
    if definition.option_only:
        return " (option only)"
    return f", `{definition.also}`" if definition.also else ""


def _options_cell(definition: Definition) -> str:
    return ", ".join(f"`{each}`" for each in _spellings(definition))


def _default_cell(definition: Definition) -> str:
    if definition.required:
        return "required"
    return f"`{definition.default}`" if definition.default else ""


def _help_cell(words: str, later: str) -> str:
    return (words + _later(later)).replace("|", "\\|")
