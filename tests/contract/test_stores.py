# SPDX-License-Identifier: MIT
"""Every grant store passes one contract; one that survives restarts a second one."""

from __future__ import annotations

import pytest

from spale_core.stores.memory import MemoryStore
from spale_core.stores.sqlite import SqliteStore
from spale_core.testing import DurableStoreContract, GrantStoreContract


class TestMemory(GrantStoreContract):
    """The store that forgets."""

    def make(self, settings):
        """Return a new one."""
        return MemoryStore(settings)


class TestSqlite(DurableStoreContract):
    """The store that survives."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path):
        self.state_dir = tmp_path / "state"
        self.runtime = tmp_path / "run"

    def make(self, settings):
        """Open it."""
        return SqliteStore(settings, runtime=self.runtime)
