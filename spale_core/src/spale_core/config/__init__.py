# SPDX-License-Identifier: MIT
"""The configuration: file, environment and options become one `Settings`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from spale_core.config.server_keys import Look
    from spale_core.config.settings import Settings


def load(
    options: Mapping[str, str],
    environ: Mapping[str, str],
    path: Path | None = None,
    look: Look | None = None,
) -> Settings:
    """Return the configuration that holds; see `spale_core.config.loader.load`. Raises ConfigError."""
    # spale-send needs the ports of this package, and must not wait for the rest of it.
    from spale_core.config import loader, server_keys  # noqa: PLC0415 - no knock waits for it

    return loader.load(options, environ, path, look=look or server_keys.look)
