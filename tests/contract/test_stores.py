# SPDX-License-Identifier: MIT
"""Every grant store passes one contract."""

from __future__ import annotations

from spale_core.stores.memory import MemoryStore
from spale_core.testing import GrantStoreContract


class TestMemory(GrantStoreContract):
    """The store that forgets."""

    def make(self, settings):
        """Return a new one."""
        return MemoryStore(settings)
