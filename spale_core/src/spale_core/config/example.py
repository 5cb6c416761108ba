# SPDX-License-Identifier: MIT
"""`spale.conf.example`, generated from the definitions."""

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
        f"{_comment(each.help)}#{_CLIENT}_{each.suffix}={each.example}" for each in CLIENT_DEFINITIONS
    )
    return "\n".join([_HEAD, *required, *others, _CLIENTS_HEAD + clients, ""])


def _entry(definition: Definition) -> str:
    options = f" [{', '.join(spellings(definition))}]" if definition.options else ""
    value = definition.default if definition.example is None else definition.example
    sign = "" if definition.required else "#"
    words = f"{definition.help}{options}"
    return f"{_comment(words)}{sign}{definition.key}={value}\n"


def spellings(definition: Definition) -> Iterator[str]:
    """Return every way to write the option of a key."""
    yield from definition.options
    if definition.off is not None:
        yield definition.off


def _comment(words: str) -> str:
    sentence = words[0].upper() + words[1:]
    return "".join(f"# {line}\n" for line in textwrap.wrap(sentence, _WIDTH - 2, break_on_hyphens=False))
