# SPDX-License-Identifier: MIT
"""Settings as the text of a configuration file, which `load` reads as the same settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spale_core.config.keys import CLIENT_DEFINITIONS, DEFINITIONS
from spale_core.config.naming import prefix_of
from spale_core.config.reader import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spale_core.config.settings import ClientSettings, Settings


def write_settings(settings: Settings) -> str:
    """Return the text of a file that says what `settings` says; the keys themselves stay in their files."""
    lines = [*_global_lines(settings)]
    for client in settings.clients:
        lines += ["", *_client_lines(client)]
    return "\n".join([*lines, ""])


def _global_lines(settings: Settings) -> Iterator[str]:
    for definition in DEFINITIONS:
        if definition.field is None or definition.option_only:
            continue
        value = getattr(settings, definition.field)
        if value is not None:
            yield f"{definition.key}={quote(definition.kind.write(value))}"


def _client_lines(client: ClientSettings) -> Iterator[str]:
    for definition in CLIENT_DEFINITIONS:
        value = getattr(client, definition.field)
        if value not in (None, ()):
            yield f"{prefix_of(client.name)}_{definition.suffix}={quote(definition.kind.write(value))}"
