# SPDX-License-Identifier: MIT
"""What `make venv` installs, and a machine that was set up otherwise may lack."""

from __future__ import annotations

import os

import pytest


def lacking(reason):
    """Skip a test; fail it if SPALE_REQUIRE_KERNEL=1, as in CI: there it must not be left out unseen."""
    if os.environ.get("SPALE_REQUIRE_KERNEL") == "1":
        pytest.fail(f"SPALE_REQUIRE_KERNEL=1, but: {reason}", pytrace=False)
    pytest.skip(reason)
